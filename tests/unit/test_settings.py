from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.settings import OPTIONS, ExecutorKind, LogLevel, Settings, load_settings, render_settings_file

HOME = {"HOME": "/home/ann"}


def load(
    folder: Path, file: str | None = None, environ: dict[str, str] | None = None, flags: dict[str, Any] | None = None
) -> Settings:
    if file is not None:
        (folder / "benchfleet.toml").write_text(file)
    return load_settings(flags, {**HOME, **(environ or {})}, folder=folder)


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == Settings(
        db=f"sqlite:///{tmp_path}/benchfleet.db",
        inventory=(),
        models=None,
        allow_files=(),
        cache_dir=Path("/home/ann/.cache/benchfleet-controller"),
        known_hosts=Path("/home/ann/.config/benchfleet/known_hosts"),
        ssh_config=None,
        executor=ExecutorKind.THREADS,
        ray_address=None,
        connect_timeout_s=10.0,
        heartbeat_s=15.0,
        lease_s=60.0,
        log_level=LogLevel.WARNING,
        log_file=None,
        windows=(),
    )


def test_flags_come_before_variables_before_the_file_before_defaults(tmp_path: Path) -> None:
    file = 'log_level = "error"\nexecutor = "ray"\nray_address = "file:1"\nconnect_timeout_s = 5\n'
    environ = {"BENCHFLEET_LOG_LEVEL": "info", "BENCHFLEET_RAY_ADDRESS": "variable:1"}
    settings = load(tmp_path, file, environ, {"log_level": "debug", "db": None})
    assert settings.log_level is LogLevel.DEBUG
    assert settings.ray_address == "variable:1"
    assert settings.executor is ExecutorKind.RAY
    assert settings.connect_timeout_s == 5.0
    assert settings.db == f"sqlite:///{tmp_path}/benchfleet.db"


def test_settings_and_inventory_are_found_upwards(tmp_path: Path) -> None:
    deep = tmp_path / "sweeps" / "old"
    deep.mkdir(parents=True)
    (tmp_path / "benchfleet.toml").write_text('known_hosts = "keys"\n')
    settings = load(deep)
    assert settings.known_hosts == tmp_path / "keys"
    assert settings.inventory == (Path("../../inventory"),)
    assert settings.db == f"sqlite:///{tmp_path}/benchfleet.db"


def test_the_nearest_lab_counts_and_a_named_file_moves_no_default(tmp_path: Path) -> None:
    (tmp_path / "benchfleet.toml").write_text('executor = "ray"\n')
    (tmp_path / "lab" / "inventory").mkdir(parents=True)
    (tmp_path / "lab" / "sweeps").mkdir()
    assert load(tmp_path / "lab" / "sweeps").inventory == (Path("../inventory"),)
    assert load(tmp_path / "lab" / "sweeps").executor is ExecutorKind.THREADS
    assert load(tmp_path / "lab").db == f"sqlite:///{tmp_path}/lab/benchfleet.db"
    named = load_settings({}, HOME, config=tmp_path / "benchfleet.toml", folder=tmp_path / "lab" / "sweeps")
    assert named.executor is ExecutorKind.RAY
    assert named.inventory == (Path("inventory"),)


def test_a_settings_file_above_that_belongs_to_somebody_else_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "benchfleet.toml").write_text('ssh_config = "evil"\n')
    if os.getuid() == 0:
        os.chown(tmp_path / "benchfleet.toml", 12_345, -1)
    else:
        me = os.getuid()
        monkeypatch.setattr("os.getuid", lambda: me + 1)
    assert load(tmp_path / "sweeps").ssh_config is None


def test_an_empty_variable_or_flag_is_none(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"BENCHFLEET_EXECUTOR": ""}, flags={"inventory": [], "db": None})
    assert settings.executor is ExecutorKind.THREADS
    assert settings.inventory == ()


def test_relative_paths_start_from_where_they_were_said(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "lab.toml").write_text(
        'db = "data/lab.db"\ninventory = ["racks", "~/extra.yaml"]\ncache_dir = "cache"\n'
    )
    environ = {**HOME, "BENCHFLEET_KNOWN_HOSTS": "hosts"}
    settings = load_settings({"ssh_config": "cfg"}, environ, Path("conf/lab.toml"), tmp_path)
    assert settings.db == f"sqlite:///{tmp_path}/conf/data/lab.db"
    assert settings.inventory == (tmp_path / "conf/racks", Path("/home/ann/extra.yaml"))
    assert settings.cache_dir == tmp_path / "conf/cache"
    assert settings.known_hosts == tmp_path / "hosts"
    assert settings.ssh_config == tmp_path / "cfg"


def test_paths_of_this_folder_stay_as_people_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchfleet.toml").write_text('inventory = "lab"\n')
    settings = load_settings(environ=HOME)
    assert settings.inventory == (Path("lab"),)
    assert settings.db == "sqlite:///benchfleet.db"
    assert load_settings({"inventory": ["a.yaml", "b"]}, HOME).inventory == (Path("a.yaml"), Path("b"))


@pytest.mark.parametrize(
    ("db", "url"),
    [
        ("lab.db", "sqlite:///{folder}/lab.db"),
        ("/data/lab.db", "sqlite:////data/lab.db"),
        ("~/lab.db", "sqlite:////home/ann/lab.db"),
        ("sqlite:///lab.db", "sqlite:///{folder}/lab.db"),
        ("sqlite:////data/lab.db", "sqlite:////data/lab.db"),
        ("postgresql://lab@db.example/bench", "postgresql://lab@db.example/bench"),
    ],
)
def test_a_database_is_a_path_or_a_url(tmp_path: Path, db: str, url: str) -> None:
    assert load(tmp_path, flags={"db": db}).db == url.format(folder=tmp_path)
    assert load(tmp_path, environ={"BENCHFLEET_DB": db}).db == url.format(folder=tmp_path)
    assert load(tmp_path, f"db = '{db}'").db == url.format(folder=tmp_path)


def test_several_inventories_in_a_variable_are_separated_as_in_path(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"BENCHFLEET_INVENTORY": "/a:/b.yaml"})
    assert settings.inventory == (Path("/a"), Path("/b.yaml"))


def test_the_folders_of_the_desktop_standard_are_honoured(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "relative"})
    assert settings.cache_dir == Path("/c/benchfleet-controller")
    assert settings.known_hosts == Path("/home/ann/.config/benchfleet/known_hosts")


def test_a_variable_may_name_the_file_and_a_flag_comes_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(f'ray_address = "{name}:1"\n')
    environ = {**HOME, "BENCHFLEET_CONFIG": "a.toml"}
    assert load_settings({}, environ, folder=tmp_path).ray_address == "a:1"
    assert load_settings({}, environ, Path("b.toml"), tmp_path).ray_address == "b:1"


@pytest.mark.parametrize(
    ("file", "message", "hint"),
    [
        ('log_level = "info"\ndatabse = "x"\n', "benchfleet.toml:2: unknown setting 'databse'", "known: db, "),
        ('inventry = "x"\n', "benchfleet.toml:1: unknown setting 'inventry'", "did you mean 'inventory'?"),
        ("# head\n[ssh]\nx = 1\n", "benchfleet.toml:2: unknown setting 'ssh'", "known: db, "),
        (
            "connect_timeout_s = 'x'\n",
            "benchfleet.toml:1: connect_timeout_s: expected seconds, more than 0 and at most 3600, not 'x'",
            None,
        ),
        (
            "\nconnect_timeout_s = true\n",
            "benchfleet.toml:2: connect_timeout_s: expected seconds, more than 0 and at most 3600, not True",
            None,
        ),
        (
            "connect_timeout_s = nan\n",
            "benchfleet.toml:1: connect_timeout_s: expected seconds, more than 0 and at most 3600, not nan",
            None,
        ),
        (
            "# head\nlease_s = 2.9\n",
            "benchfleet.toml:2: lease_s: expected seconds, at least 3 and at most 3600, not 2.9",
            None,
        ),
        ("executor = 'slurm'\n", "benchfleet.toml:1: executor: expected threads or ray, not 'slurm'", None),
        ("log_level = 3\n", "benchfleet.toml:1: log_level: expected debug, info, warning or error, not 3", None),
        ("inventory = 3\n", "benchfleet.toml:1: inventory: expected a path or a list of paths, not 3", None),
        ("inventory = [3]\n", "benchfleet.toml:1: inventory: expected text, not [3]", None),
        ("cache_dir = ''\n", "benchfleet.toml:1: cache_dir: expected text, not ''", None),
        ("db = ['secret']\n", "benchfleet.toml:1: db: expected text", None),
        ("log_level = warning\n", "benchfleet.toml:1: not valid TOML: Invalid value (column 13)", None),
        ('db = "a"\ndb = "b"\n', "benchfleet.toml:2: not valid TOML: Cannot overwrite a value (column 9)", None),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, message: str, hint: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("benchfleet.toml").write_text(file)
    with pytest.raises(ConfigError) as caught:
        load_settings(environ=HOME)
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint or "")
    assert (caught.value.hint is None) == (hint is None)


@pytest.mark.parametrize(
    ("environ", "flags", "message"),
    [
        ({"BENCHFLEET_CONNECT_TIMEOUT_S": "soon"}, {}, "BENCHFLEET_CONNECT_TIMEOUT_S: expected seconds, "),
        ({"BENCHFLEET_LEASE_S": "0.1"}, {}, "BENCHFLEET_LEASE_S: expected seconds, at least 3 and at most 3600"),
        ({"BENCHFLEET_EXECUTOR": "slurm"}, {}, "BENCHFLEET_EXECUTOR: expected threads or ray, not 'slurm'"),
        ({}, {"connect_timeout_s": -1}, "--connect-timeout-s: expected seconds, "),
        ({}, {"executor": "slurm"}, "--executor: expected threads or ray, not 'slurm'"),
        ({}, {"db": " "}, "--db: expected text"),
    ],
)
def test_a_wrong_variable_or_flag_is_named(
    tmp_path: Path, environ: dict[str, str], flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, None, environ, flags)
    assert caught.value.message.startswith(message)


def test_a_variable_that_nobody_reads_is_refused_unless_a_trial_set_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BENCHFLEET_DBB: unknown variable") as caught:
        load_settings(environ={"BENCHFLEET_DBB": "lab.db"}, folder=tmp_path)
    assert caught.value.hint is not None
    assert "BENCHFLEET_DB" in caught.value.hint
    load_settings(environ={"BENCHFLEET_DEBUG": "1", "BENCHFLEET_DBB": ""}, folder=tmp_path)
    # The token of `benchfleet serve` is no setting, and every command has to run beside it.
    load_settings(environ={"BENCHFLEET_TOKEN": "a-token-for-tests-alone"}, folder=tmp_path)
    load_settings(environ={"BENCHFLEET_TRIAL": "a.1", "BENCHFLEET_KIND": "measure"}, folder=tmp_path)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lab\.toml: no such settings file"):
        load_settings({}, HOME, Path("lab.toml"), tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchfleet.toml").write_bytes(b'db = "caf\xe9"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchfleet.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_passwords_do_not_show() -> None:
    settings = load_settings({"db": "postgresql://lab:hunter2@db/bench"}, HOME)
    assert "hunter2" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        load_settings({"db": ["postgresql://lab:hunter2@db/bench"]}, HOME)
    assert "hunter2" not in str(caught.value)


def test_the_file_of_a_new_lab_explains_every_setting_and_changes_none(tmp_path: Path) -> None:
    text = render_settings_file()
    assert tomllib.loads(text) == {}
    assert {option.key for option in OPTIONS} == {field.name for field in dataclasses.fields(Settings)}
    for option in OPTIONS:
        assert f"\n#{option.key} = " in text
        assert option.variable in text


def test_the_commented_settings_are_valid_and_mostly_the_defaults(tmp_path: Path) -> None:
    enabled = "".join(line[1:] if line[1:2].islower() else line for line in render_settings_file().splitlines(True))
    defaults, settings = load(tmp_path), load(tmp_path, enabled)
    differing = {option.key for option in OPTIONS if getattr(defaults, option.key) != getattr(settings, option.key)}
    assert differing == {"inventory", "models", "allow_files", "ssh_config", "ray_address", "log_file", "windows"}


def test_settings_load_without_anything_heavy() -> None:
    code = "import sys, orchestrator.settings; print(sorted({'pydantic', 'yaml', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
