from __future__ import annotations

import resource
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.inventory.files import load_inventory
from orchestrator.resources import shipped
from orchestrator.services.lab.init import SHIPPED_MODEL, init_lab
from orchestrator.settings import load_settings
from orchestrator.specs.nightly import load_nightly
from orchestrator.specs.sweep import load_sweep


def test_a_new_lab_works_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = init_lab(tmp_path / "labs" / "mine")
    monkeypatch.chdir(tmp_path / "labs" / "mine")
    settings = load_settings(environ={"HOME": "/home/ann"})
    assert [device.name for device in load_inventory(settings.inventory).select()] == ["local"]
    for sweep in ("quickstart", "digits-variants", "runtimes", "canary", "own-model", "exec/shell"):
        assert load_sweep(Path(f"sweeps/{sweep}.yaml")).model.directory == str(Path("models/digits").absolute())
    nightly = load_nightly(Path("nightly.yaml")).nightly
    assert [Path(path).name for path in (*nightly.sweeps, *nightly.canaries)] == ["quickstart.yaml", "canary.yaml"]
    assert {path.relative_to(tmp_path / "labs" / "mine").parts[0] for path in written} == {
        "benchfleet.toml",
        "nightly.yaml",
        "inventory",
        "sweeps",
        "models",
        "schemas",
    }
    assert sorted(written) == sorted(path for path in Path.cwd().rglob("*") if path.is_file())


def test_a_second_time_there_is_nothing_to_write(tmp_path: Path) -> None:
    assert init_lab(tmp_path)
    assert init_lab(tmp_path) == ()


def test_what_is_missing_is_written_again(tmp_path: Path) -> None:
    init_lab(tmp_path)
    (tmp_path / "inventory" / "local.yaml").unlink()
    assert init_lab(tmp_path) == (tmp_path / "inventory" / "local.yaml",)


def test_a_file_of_the_users_is_never_replaced_and_nothing_else_is_written(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "local.yaml").write_text("devices: {}\n")
    with pytest.raises(ConfigError, match=r"inventory/local\.yaml is there already") as caught:
        init_lab(tmp_path)
    assert "nothing was written" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["local.yaml"]


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("")
    with pytest.raises(ConfigError, match="Not a directory"):
        init_lab(tmp_path / "lab")


def test_a_disk_that_gets_full_leaves_no_part_of_a_file_in_the_way(tmp_path: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The largest file that is written: schemas, which come before, may grow.
    least = (shipped(SHIPPED_MODEL) / "digits-fp32.tflite").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (least - 1, usual[1]))
    try:
        with pytest.raises(ConfigError, match=r"digits-.*cannot be written: File too large"):
            init_lab(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert tmp_path / "models" / "digits" / "digits-fp32.tflite" in init_lab(tmp_path)
