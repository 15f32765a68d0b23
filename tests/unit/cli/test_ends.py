"""How commands end: what they say, on which stream, and with which exit code."""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.domain import errors
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ExitCode, OrchestratorError, Unreachable
from orchestrator.domain.facts import Facts
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, save_snapshot
from tests.unit.cli.conftest import Command

MODEL = Path(__file__).parents[3] / "models" / "digits"
NEW_LAB = "orchestrator.services.lab.init.init_lab"


def test_the_exit_codes_are_those_of_the_design_and_each_means_one_thing() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "FINE": 0,
        "REGRESSION": 1,
        "USAGE": 2,
        "INCOMPLETE": 3,
        "INFRASTRUCTURE": 4,
    }


def test_no_error_exits_as_success_or_as_a_regression() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OrchestratorError)]
    assert len(classes) > 10
    assert errors.NothingToRun.exit_code == ExitCode.FINE, "every cell has its result: that is what was wanted"
    classes.remove(errors.NothingToRun)
    assert {kind.exit_code for kind in classes} == {ExitCode.USAGE, ExitCode.INCOMPLETE, ExitCode.INFRASTRUCTURE}


def test_an_error_is_two_lines_on_standard_error(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(directory: Path) -> tuple[Path, ...]:
        raise Unreachable("connection refused", "is it on?").at("pi-03", "connect")

    monkeypatch.setattr(NEW_LAB, refuse)
    ended = command("init", "lab")
    assert ended.code == ExitCode.INFRASTRUCTURE
    assert ended.err == "error: pi-03: connect: connection refused\nhint: is it on?\n"
    assert ended.out == ""


def test_an_error_without_a_remedy_has_no_hint(command: Command) -> None:
    ended = command("plan", "nowhere.yaml", "--inventory", _inventory())
    assert ended.code == ExitCode.USAGE
    assert ended.err == "error: nowhere.yaml: no such file\n"


def test_a_defect_says_how_to_see_its_trace(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(directory: Path) -> tuple[Path, ...]:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(NEW_LAB, break_down)
    ended = command("init", "lab")
    assert ended.code == ExitCode.INFRASTRUCTURE
    assert ended.err.startswith("error: unexpected ZeroDivisionError: oh no\n")
    assert "BENCHFLEET_DEBUG=1" in ended.err
    assert "Traceback" not in ended.err
    monkeypatch.setenv("BENCHFLEET_DEBUG", "1")
    with pytest.raises(ZeroDivisionError, match="oh no"):
        command("init", "lab")


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (PermissionError(13, "Permission denied", "/lab/x"), "/lab/x: Permission denied", "may this user read it"),
        (OSError(24, "Too many open files"), "Too many open files", "ulimit -n"),
        (OSError(28, "No space left on device", "/lab/x"), "/lab/x: No space left on device", "free space there"),
        (MemoryError(), "no memory is left", "this machine has no memory left"),
        (ImportError("no name 'x'"), "unexpected ImportError: no name 'x'", "is this installation whole?"),
        (OSError(9, "Bad file descriptor"), "unexpected OSError: [Errno 9] Bad file descriptor", "a defect of"),
    ],
)
def test_what_the_machine_refuses_is_no_defect_of_ours(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str, hint: str
) -> None:
    def break_down(directory: Path) -> tuple[Path, ...]:
        raise error

    monkeypatch.setattr(NEW_LAB, break_down)
    ended = command("init", "lab")
    assert (ended.code, ended.err.splitlines()[0]) == (ExitCode.INFRASTRUCTURE, f"error: {message}")
    assert hint in ended.err.splitlines()[1]
    assert "BENCHFLEET_DEBUG=1" in ended.err


def test_a_file_that_ends_too_early_is_no_interruption(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def end_early(directory: Path) -> tuple[Path, ...]:
        raise EOFError("marshal data too short")

    monkeypatch.setattr(NEW_LAB, end_early)
    ended = command("init", "lab")
    assert ended.code == ExitCode.INFRASTRUCTURE
    assert "error: unexpected EOFError: marshal data too short\n" in ended.err


@pytest.mark.system
def test_a_full_disk_leaves_no_bytecode_that_breaks_the_next_command(tmp_path: Path) -> None:
    """Python renames bytecode into place that a full disk has cut short: a limit on the length of files does so too."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    command = [sys.executable, "-m", "orchestrator", "--version"]

    def leave_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    subprocess.run([sys.executable, "-c", "import runpy, atexit, gc, importlib.machinery"], env=environment, check=True)
    for prepare in (leave_little_room, None):
        done = subprocess.run(command, env=environment, preexec_fn=prepare, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_is_incomplete_and_never_a_regression(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupt(directory: Path) -> tuple[Path, ...]:
        os.kill(os.getpid(), number)
        return ()

    monkeypatch.setattr(NEW_LAB, interrupt)
    ended = command("init", "lab")
    assert ended.code == ExitCode.INCOMPLETE
    assert ended.err.strip() == "error: interrupted"


@pytest.mark.parametrize(
    ("words", "said", "page"),
    [
        (["runs", "list", "--lmit", "3"], "no such option: --lmit", "benchfleet runs list --help"),
        (["runs", "list", "--limit", "0"], "invalid value for '--limit'", "benchfleet runs list --help"),
        (["runs", "list", "--limit", "x"], "invalid value for '--limit'", "benchfleet runs list --help"),
        (["runs", "list", "surplus"], "unexpected extra argument", "benchfleet runs list --help"),
        (["runs", "lsit"], "Did you mean 'list'?", "benchfleet runs --help"),
        (["cmopare", "last"], "Did you mean 'compare'?", "benchfleet --help"),
        (["compare"], "missing argument 'RUN'", "benchfleet compare --help"),
        (["runs", "show"], "missing argument 'RUN'", "benchfleet runs show --help"),
        (["--vrsion"], "no such option: --vrsion", "benchfleet --help"),
        (["-v", "runs"], "no such option: -v", "options stand behind the command: benchfleet COMMAND -v"),
        (
            ["runs", "--db", "a"],
            "no such option: --db",
            "options stand behind the command: benchfleet runs COMMAND --db",
        ),
    ],
)
def test_wrong_usage_is_an_error_with_the_page_to_read(
    command: Command, words: list[str], said: str, page: str
) -> None:
    ended = command(*words)
    assert ended.code == ExitCode.USAGE
    first, hint = ended.err.splitlines()
    assert first.startswith("error: ")
    assert said.lower() in first.lower()
    assert hint == f"hint: {page}"
    assert ended.out == ""


@pytest.mark.parametrize("words", [[], ["runs"], ["devices"], ["models"], ["db"]])
def test_a_group_without_a_command_shows_its_help_and_is_no_success(command: Command, words: list[str]) -> None:
    ended = command(*words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(" ".join(["Usage: benchfleet", *words]))
    assert "Commands:" in ended.err
    assert ended.out == ""


def test_version(command: Command) -> None:
    ended = command("--version")
    assert (ended.code, ended.out, ended.err) == (ExitCode.FINE, f"benchfleet {__version__}\n", "")


def test_init_says_what_it_wrote_and_a_second_time_that_all_is_there(command: Command) -> None:
    first = command("init", "my lab")
    assert first.code == ExitCode.FINE
    assert "wrote my lab/benchfleet.toml\n" in first.out
    assert first.out.endswith("now: cd 'my lab' && benchfleet run sweeps/quickstart.yaml\n")
    second = command("init", "my lab", "--json")
    assert (second.code, json.loads(second.out)["written"]) == (ExitCode.FINE, [])


def test_init_here_does_not_tell_to_go_where_one_is(command: Command) -> None:
    assert command("init", ".").out.endswith("\nnow: benchfleet run sweeps/quickstart.yaml\n")


def test_a_models_name_is_no_folder_but_names_one(command: Command) -> None:
    command("init", ".")
    ended = command("models", "verify", "digits")
    assert ended.code == ExitCode.USAGE
    assert ended.err.endswith("\nhint: did you mean models/digits?\n")


def test_a_list_of_no_runs_says_so_and_makes_no_database(command: Command, tmp_path: Path) -> None:
    ended = command("runs", "list", "--db", "new.db")
    assert (ended.code, ended.out) == (ExitCode.FINE, "")
    assert "no run yet" in ended.err
    assert command("runs", "list", "--db", "new.db", "--json").out == "[]\n"
    assert not (tmp_path / "new.db").exists()


def test_devices_that_nobody_probed_are_listed_without_a_database(command: Command, tmp_path: Path) -> None:
    ended = command("devices", "list", "--inventory", _inventory())
    assert ended.code == ExitCode.FINE
    assert ended.out.splitlines()[1].split() == ["local", "local", "class=x86", "–", "never"]
    (device,) = json.loads(command("devices", "list", "--inventory", _inventory(), "--json").out)
    assert (device["name"], device["probed_at"], device["facts"]) == ("local", None, None)
    assert not (tmp_path / "benchfleet.db").exists()


def test_devices_that_were_probed_are_listed_with_what_is_known_of_them(command: Command, database_file: Path) -> None:
    with open_store(str(database_file)) as store:
        save_snapshot(store, Device("local", TransportKind.LOCAL), Facts(FACTS), STARTED_AT)
    words = ("devices", "list", "--inventory", _inventory())
    assert "Raspberry Pi 5  2026-03-01 08:30" in command(*words).out
    (device,) = json.loads(command(*words, "--json").out)
    assert device["probed_at"] == "2026-03-01T08:30:00Z"
    assert device["facts"]["board_model"] == "Raspberry Pi 5"


def test_every_setting_that_a_flag_names_is_read(command: Command) -> None:
    ended = command("devices", "probe", "--executor", "thread", "--inventory", _inventory())
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("error: --executor: expected threads or ray, not 'thread'")


def test_db_current_and_upgrade_agree(command: Command) -> None:
    before = json.loads(command("db", "current", "--db", "a.db", "--json").out)
    assert before["revision"] is None
    after = json.loads(command("db", "upgrade", "--db", "a.db", "--json").out)
    assert after["revision"] == after["wanted"] == before["wanted"]
    assert command("db", "current", "--db", "a.db").out.strip().endswith(f"wanted {after['wanted']}")


@pytest.mark.long
def test_db_demo_fills_a_database_that_is_named(command: Command, tmp_path: Path) -> None:
    size = ("--devices", "1", "--series", "1", "--nights", "2")
    filled = json.loads(command("db", "demo", "--db", "demo.db", *size, "--json").out)
    assert {key: filled[key] for key in ("devices", "series", "nights", "seed", "runs")} == {
        "devices": 1,
        "series": 1,
        "nights": 2,
        "seed": 1,
        "runs": 2,
    }
    again = command("db", "demo", "--db", "demo.db", *size)
    assert again.code == ExitCode.USAGE
    assert again.err.startswith(f"error: {tmp_path / 'demo.db'}: the database is not empty: rows in ")


def test_db_demo_never_fills_the_default_database_by_accident(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHFLEET_DB", str(tmp_path / "lab.db"))
    ended = command("db", "demo", "--nights", "1")
    assert ended.code == ExitCode.USAGE
    assert "benchfleet db demo --db demo.db" in ended.err
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.system
def test_sql_prints_tables_csv_and_json_and_cannot_write(command: Command) -> None:
    command("db", "upgrade", "--db", "a.db")
    statement = "SELECT 1 AS n, NULL AS missing, 'x' AS note"
    assert command("sql", statement, "--db", "a.db").out == "n  missing  note\n1  –        x\n"
    assert command("sql", statement, "--db", "a.db", "--format", "csv").out == "n,missing,note\n1,,x\n"
    for json_flag in (["--json"], ["--format", "json"]):
        assert json.loads(command("sql", statement, "--db", "a.db", *json_flag).out) == [
            {"n": 1, "missing": None, "note": "x"}
        ]
    refused = command("sql", "DELETE FROM run", "--db", "a.db")
    assert refused.code == ExitCode.USAGE
    assert "only reading is possible" in refused.err
    unlisted = {"SELECT load_extension('x')": "function load_extension", "SELECT * FROM dbstat": "table dbstat"}
    for query, named in unlisted.items():
        told = f"error: only reading is possible here: the {named} is not among those that a query may use\n"
        assert command("sql", query, "--db", "a.db").err.startswith(told)
    assert command("sql", "SELECT zeroblob(90000000)", "--db", "a.db").err.startswith(
        "error: a value of more than 16 MiB\n"
    )


def test_models_are_named_as_one_would_type_them(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command("init", "lab")
    ended = command("models", "verify", "lab/models/digits")
    assert ended.code == ExitCode.FINE
    assert "digits  lab/models/digits/digits-fp32.tflite " in ended.out


def _inventory() -> str:
    return str(Path(__file__).parents[3] / "inventory" / "local.yaml")


def test_a_second_quarantine_says_that_the_first_reason_stays(command: Command) -> None:
    words = ("devices", "quarantine", "local", "--inventory", _inventory(), "--reason")
    assert command(*words, "its fan is broken").code == ExitCode.FINE
    again = command(*words, "it is loud")
    assert again.code == ExitCode.FINE
    assert "its fan is broken" in again.out
    assert "in quarantine already" in again.err


def test_a_plan_warns_of_devices_in_quarantine_beside_the_plan(command: Command) -> None:
    runtime = {"exec": {"name": "shell", "command": ["true"]}}  # one that needs no package
    sweep = {"sweep": "one", "model": str(MODEL), "variants": ["fp32"], "runtimes": [runtime]}
    Path("sweep.yaml").write_text(json.dumps(sweep))
    words = ("plan", "sweep.yaml", "--inventory", _inventory(), "--json")
    with open_store("benchfleet.db", upgrade=True) as store:
        save_snapshot(store, Device("local", TransportKind.LOCAL), Facts(FACTS), STARTED_AT)
    planned = command(*words)
    assert planned.code == ExitCode.FINE
    reason = ("--reason", "its fan is broken", "--inventory", _inventory())
    assert command("devices", "quarantine", "local", *reason).code == ExitCode.FINE
    warned = command(*words)
    assert (warned.code, warned.out) == (planned.code, planned.out)
    assert "its fan is broken" in warned.err
    assert "quarantine" not in planned.err
