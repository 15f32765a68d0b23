"""Which files a sweep of somebody else may send to devices: every path that a file names, tried outside its bounds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.facts import Platform
from orchestrator.domain.model_files import FileState
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.services.models.verify import verify_models
from orchestrator.services.runs.prepare import make_planner
from orchestrator.specs.model import load_model
from orchestrator.specs.paths import open_below, open_regular
from orchestrator.specs.reach import Reach
from orchestrator.specs.sweep import load_sweep, parse_sweep

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"
SWEEP = """\
sweep: s
model: {model}
variants: [fp32]
runtimes:
  - exec: {{name: demo, command: [sh, bench.sh], files: [{files}]}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab with a sweep folder and a model, the working folder of the test. Beside the lab lies what is private."""
    made = tmp_path / "lab"
    (made / "inventory").mkdir(parents=True)
    shutil.copytree(TINY, made / "models" / "tiny")
    (made / "sweeps" / "data").mkdir(parents=True)
    (made / "sweeps" / "bench.sh").write_text("true\n")
    shutil.copytree(TINY, tmp_path / "private" / "tiny")
    (tmp_path / "private" / "key").write_text("secret\n")
    monkeypatch.chdir(made)
    return made


def write(lab: Path, files: str = "bench.sh", model: str = "../models/tiny") -> Path:
    path = lab / "sweeps" / "a.yaml"
    path.write_text(SWEEP.format(files=files, model=model))
    return Path("sweeps/a.yaml")


def refusal(load: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    "file", ["../../private/key", "{private}/key", "data/../../../private/key", "../models/tiny/model.yaml"]
)
def test_a_file_outside_of_the_sweeps_folder_is_refused_with_the_way_to_allow_it(lab: Path, file: str) -> None:
    private = lab.parent / "private"
    path = write(lab, file.format(private=private))
    error = refusal(lambda: load_sweep(path))
    assert error.message.startswith("sweeps/a.yaml:5: /")
    assert "outside of the folders from which this sweep may send files" in error.message
    assert error.hint is not None
    allowed = Path(error.hint.rpartition("--allow-files ")[2])
    assert load_sweep(path, reach=Reach(others=(allowed,))).sweep.runtimes[0].program is not None


def test_links_are_followed_before_a_file_is_judged(lab: Path) -> None:
    (lab / "sweeps" / "data" / "link").symlink_to(lab.parent / "private" / "key")
    (lab / "sweeps" / "away").symlink_to(lab.parent / "private")
    (lab / "sweeps" / "near").symlink_to("bench.sh")
    for file in ("data/link", "away/key"):
        path = write(lab, file)
        assert f"{lab.parent}/private/key is outside" in refusal(lambda: load_sweep(path)).message  # noqa: B023
    program = load_sweep(write(lab, "near")).sweep.runtimes[0].program
    assert program is not None
    assert program.files == (("near", f"{lab}/sweeps/bench.sh"),)


@pytest.mark.parametrize(
    "file", ["/proc/self/environ", "/proc/self/cwd/sweeps/../../private/key", "/dev/zero", "/sys/kernel/mm/hugepages"]
)
def test_the_state_of_the_machine_is_never_sent(lab: Path, file: str) -> None:
    path = write(lab, file)
    everywhere = Reach(others=(Path("/"),))
    if "cwd" in file:
        assert "outside" in refusal(lambda: load_sweep(path)).message
        return
    error = refusal(lambda: load_sweep(path, reach=everywhere))
    assert "is the state of this machine: nothing below /" in error.message
    assert error.hint is None


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_only_regular_files_are_sent(lab: Path, kind: str) -> None:
    odd = lab / "sweeps" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind("sweeps/odd")
    assert "no such file: odd" in refusal(lambda: load_sweep(write(lab, "odd"))).message
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        open_regular(odd)


def test_hidden_files_are_sent_only_if_their_folder_is_named(lab: Path) -> None:
    """A sweep saved in somebody's home would otherwise have the keys there below its own folder."""
    (lab / "sweeps" / ".ssh").mkdir()
    (lab / "sweeps" / ".ssh" / "id_ed25519").write_text("secret\n")
    path = write(lab, ".ssh/id_ed25519")
    assert "is hidden" in refusal(lambda: load_sweep(path)).message
    load_sweep(path, reach=Reach(others=(lab / "sweeps" / ".ssh",)))


def test_a_model_is_below_the_sweep_or_in_a_folder_of_models(lab: Path) -> None:
    private = lab.parent / "private" / "tiny"
    path = write(lab, model=str(private))
    error = refusal(lambda: load_sweep(path))
    assert error.message.startswith(
        f"sweeps/a.yaml:2: {private} is outside of the folders from which this sweep may send"
    )
    assert error.hint == (
        f'if you trust it: models = "{private.parent}" in benchfleet.toml, or --allow-files {private}'
    )
    for reach in (Reach(models=private.parent), Reach(others=(private,))):
        assert load_sweep(path, reach=reach).model.directory == str(private)
    shutil.copytree(TINY, lab / "sweeps" / "own" / "tiny")
    assert load_sweep(write(lab, model="own/tiny")).model.directory == str(lab / "sweeps/own/tiny")


def test_the_folder_of_models_is_that_of_a_lab_above_the_sweep(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    write(lab)
    assert load_sweep(lab / "sweeps" / "a.yaml").model.directory == str(lab / "models/tiny")


def test_the_models_above_the_lab_are_those_of_other_projects(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that was saved below somebody's home may not send what lies in the home's folder of models."""
    monkeypatch.chdir("/")
    shutil.copytree(TINY, lab.parent / "models" / "secret")
    sweep = lab / "sweeps" / "a.yaml"
    write(lab, model=str(lab.parent / "models" / "secret"))
    assert "outside of the folders" in refusal(lambda: load_sweep(sweep)).message
    write(lab)
    (lab / "inventory").rmdir()
    assert "outside of the folders" in refusal(lambda: load_sweep(sweep)).message
    (lab / "benchfleet.toml").touch()
    assert load_sweep(sweep).model.directory == str(lab / "models/tiny")


def test_a_linked_folder_of_models_counts_only_if_the_settings_name_it(lab: Path) -> None:
    """Whoever packs a lab could pack such a link."""
    shutil.rmtree(lab / "models")
    (lab / "models").symlink_to(lab.parent / "private")
    path = write(lab)
    assert "outside of the folders" in refusal(lambda: load_sweep(path)).message
    load_sweep(path, reach=Reach(models=lab / "models"))


@pytest.mark.parametrize("line", ["file: tiny-fp32.tflite", "tiny-test.npz:", "recipe: recipe.py"])
def test_what_a_model_names_stays_in_its_folder(lab: Path, line: str) -> None:
    model = lab / "models" / "tiny"
    name = line.removesuffix(":").rpartition(" ")[2]
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(lab.parent / "private" / "key")
    text = (model / "model.yaml").read_text()
    if line not in text:
        (model / "model.yaml").write_text(f"{line}\n{text}")
    assert f"{name!r} leads out of the model's folder" in refusal(lambda: load_model(model)).message


def test_a_pipe_among_a_models_files_holds_nothing(lab: Path) -> None:
    model = lab / "models" / "tiny"
    (model / "tiny-fp32.tflite").unlink()
    os.mkfifo(model / "tiny-fp32.tflite")
    assert "not a regular file" in refusal(lambda: load_model(model)).message
    with pytest.raises(ConfigError, match="not a regular file"):
        verify_models([load_model(model, verify=False)])


def test_a_link_put_there_after_the_check_is_not_followed(lab: Path, tmp_path: Path) -> None:
    loaded = load_sweep(write(lab))
    for swapped in (lab / "sweeps" / "bench.sh", lab / "sweeps"):
        kept = swapped.rename(lab / "kept")
        swapped.symlink_to(lab.parent / "private" / "key" if kept.is_file() else kept)
        error = refusal(lambda: make_planner(loaded.sweep, loaded.model, Unused(), BlobCache(tmp_path / "cache")))
        assert error.message.startswith(f"{lab}/sweeps/bench.sh: cannot be read: ")
        swapped.unlink()
        kept.rename(swapped)
    artifact = lab / "models" / "tiny" / "tiny-fp32.tflite"
    artifact.unlink()
    artifact.symlink_to(lab.parent / "private" / "key")
    error = refusal(lambda: make_planner(loaded.sweep, loaded.model, Unused(), BlobCache(tmp_path / "cache")))
    assert error.message.startswith(f"{artifact}: cannot be read: leads out of ")
    with pytest.raises(ConfigError, match="leads out of"):
        verify_models([loaded.model])


def test_what_is_checked_is_what_is_sent(lab: Path, tmp_path: Path) -> None:
    loaded = load_sweep(write(lab))
    cache = BlobCache(tmp_path / "cache")
    planner = make_planner(loaded.sweep, loaded.model, Unused(), cache)
    blob = planner.files[f"{lab}/sweeps/bench.sh"]
    assert cache.path(blob).read_text() == "true\n"
    assert {check.state for check in verify_models([loaded.model])} == {FileState.OK}


def test_the_folder_of_a_recorded_sweep_counts_only_with_the_sweep_in_it(lab: Path) -> None:
    """Whoever may write into the database may record any path there, such as one beside the keys of this user."""
    path = write(lab)
    text = path.read_text()
    assert parse_sweep(text, path).sweep.runtimes[0].program is not None
    for source in (lab.parent / "private" / "a.yaml", Path("/a.yaml"), Path("sweeps/b.yaml")):
        stolen = text.replace("[bench.sh]", f"[{lab.parent}/private/key]").replace("../models", "models")
        assert "outside of the folders" in refusal(lambda: parse_sweep(stolen, source)).message  # noqa: B023
    path.write_text(text + "# changed\n")
    assert "outside of the folders" in refusal(lambda: parse_sweep(text, path)).message
    assert parse_sweep(text, path, reach=Reach(others=(lab / "sweeps",))).sweep.name == "s"


def test_the_folders_above_a_recorded_path_count_only_with_the_sweep_in_it(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write into the database could otherwise open the models of another user's lab."""
    path = lab / write(lab)
    text = path.read_text()
    secret = lab.parent / "private" / "models" / "secret"
    shutil.copytree(TINY, secret)
    (lab.parent / "private" / "inventory").mkdir()
    stolen = SWEEP.format(files="", model=secret)
    monkeypatch.chdir("/")
    for source in ("none.yaml", "deep/er/none.yaml", "models/none.yaml", "models/secret/model.yaml"):
        recorded = lab.parent / "private" / source
        assert "outside of the folders" in refusal(lambda: parse_sweep(stolen, recorded)).message  # noqa: B023
    assert parse_sweep(text, path).model.directory == str(lab / "models/tiny")
    path.unlink()
    assert "outside of the folders" in refusal(lambda: parse_sweep(text, path)).message
    assert parse_sweep(stolen, path, reach=Reach(models=secret.parent)).sweep.name == "s"


def test_a_file_is_opened_below_its_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"content")
    (tmp_path / "b").write_bytes(b"private")
    (folder / "link").symlink_to("../b")
    (folder / "inner").symlink_to("a")
    for name in ("a", "inner", "../folder/a"):
        with open_below(folder, folder / name) as file:
            assert file.read() == b"content"
    for name in ("link", "../b", "/etc/passwd"):
        with pytest.raises(OSError, match="leads out of"):
            open_below(folder, folder / name)
    with pytest.raises(FileNotFoundError):
        open_below(folder, folder / "none")


class Unused:
    """A resolver of runtimes that no test asks."""

    def offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        raise AssertionError("no bundle is needed")
