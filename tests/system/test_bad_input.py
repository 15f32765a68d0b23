"""What people get wrong in files, flags and names: told with the place and the remedy before any device is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import disks
from tests.lab import OK_PROGRAM, REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SWEEP = """\
sweep: first
model: digits
variants: [fp32, int8]
runtimes:
  - exec: {name: shell, command: [sh, first.sh], files: [first.sh]}
trials: 2
"""
INVENTORY = """\
devices:
  one: {transport: local, state_dir: ~/one, exclusive: false, tags: {class: x86}}
  two: {transport: local, state_dir: ~/two, exclusive: false, tags: {class: arm}}
"""
PLAN, RUN, DEVICES = ("plan", "first.yaml"), ("run", "first.yaml"), ("devices", "list")

Check = Callable[..., None]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab in which everything is right; tests spoil one thing."""
    made = Lab(tmp_path)
    made.write("first.yaml", SWEEP)
    made.write("first.sh", OK_PROGRAM)
    made.write("inventory/devices.yaml", INVENTORY)
    shutil.copytree(REPOSITORY / "models" / "digits", made.directory / "digits")
    return made


@pytest.fixture
def assert_refused(lab: Lab) -> Check:
    """Check that commands end with exit code 2, say all of these words on stderr, and have begun nothing."""

    def check(commands: tuple[tuple[str, ...], ...], *words: str, **environment: str) -> None:
        for command in commands:
            done = lab.run(*command, environment=environment)
            assert_complaint(done, 2, *words)
            assert not lab.database.exists()

    return check


def assert_complaint(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """Check that a command failed in words: an error, and nothing on stdout that a pipe would take for a result."""
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def replace(path: Path, old: str, new: str) -> None:
    """Change a file's text, which must hold what is to be changed exactly once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_the_lab_is_right_before_it_is_spoiled(lab: Lab) -> None:
    done = lab.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert lab.counts("one") == lab.counts("two") == [1] * 4


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("trials: 2", "trails: 2", ("first.yaml:6", "unknown key 'trails'", "'trials'?"), id="unknown key"),
        pytest.param("trials: 2", "trials: two", ("first.yaml:6", "trials", "whole number", "'two'"), id="wrong type"),
        pytest.param("files: [first.sh]", "files: [frist.sh]", ("first.yaml:5", "no such file", "frist.sh"), id="file"),
        pytest.param("model: digits", "model: digts", ("first.yaml:2", "no model 'digts'", "'digits'?"), id="model"),
        pytest.param("[fp32, int8]", "[fp32, int4]", ("first.yaml:3", "no variant 'int4'", "'int8'?"), id="variant"),
        pytest.param("variants: [", "variants: [[", ("first.yaml:", "not valid YAML"), id="no YAML"),
    ],
)
def test_a_mistake_in_a_sweep(lab: Lab, assert_refused: Check, old: str, new: str, words: tuple[str, ...]) -> None:
    replace(lab.directory / "first.yaml", old, new)
    assert_refused((PLAN, RUN), *words)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("/proc/self/environ", ("first.yaml:5", "the state of this machine", "/proc")),
        ("/etc/shadow", ("first.yaml:5", "/etc/shadow is outside of the folders", "hint", "--allow-files /etc")),
        ("{home}/.ssh/id_ed25519", ("first.yaml:5", "is hidden", "hint", "--allow-files")),
    ],
)
def test_a_sweep_that_would_send_secrets(lab: Lab, assert_refused: Check, file: str, words: tuple[str, ...]) -> None:
    lab.write("home/.ssh/id_ed25519", "a private key")
    replace(lab.directory / "first.yaml", "files: [first.sh]", f"files: [{file.format(home=lab.home)}]")
    assert_refused((PLAN, RUN), *words)


def test_a_folder_is_allowed_by_a_flag_a_variable_or_the_settings(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (lab.directory / "first.sh").rename(elsewhere / "first.sh")
    replace(lab.directory / "first.yaml", "files: [first.sh]", f"files: [{elsewhere}/first.sh]")
    select = ("plan", "first.yaml", "--select", "one")
    assert lab.run(*select).returncode == 2
    assert lab.run(*select, "--allow-files", str(elsewhere)).returncode == 0
    assert lab.run(*select, environment={"BENCHFLEET_ALLOW_FILES": str(elsewhere)}).returncode == 0
    lab.write("benchfleet.toml", f'allow_files = ["{elsewhere}"]\n')
    assert lab.run(*select).returncode == 0


def test_a_sweep_that_is_not_there(assert_refused: Check) -> None:
    assert_refused((("plan", "frist.yaml"), ("run", "frist.yaml")), "frist.yaml", "no such file", "first.yaml?")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("license: ", "licence: ", ("unknown key 'licence'", "'license'?"), id="unknown key"),
        pytest.param("samples: ", "samples: x", ("samples", "whole number"), id="wrong type"),
        pytest.param(
            "file: digits-int8.tflite",
            "file: digits-int9.tflite",
            ("digits-int9.tflite is missing",),
            id="missing file",
        ),
    ],
)
def test_a_mistake_in_a_model(lab: Lab, assert_refused: Check, old: str, new: str, words: tuple[str, ...]) -> None:
    replace(lab.directory / "digits" / "model.yaml", old, new)
    assert_refused((PLAN, RUN), "digits/model.yaml:", *words)


def test_a_model_file_that_is_not_what_it_was(lab: Lab, assert_refused: Check) -> None:
    with (lab.directory / "digits" / "digits-int8.tflite").open("ab") as file:
        file.write(b"!")
    words = ("digits-int8.tflite has SHA-256", "declared is", "hint", "benchfleet models verify digits")
    assert_refused((PLAN, RUN), "digits/model.yaml:", *words)
    verified = lab.run("models", "verify", "digits")
    assert verified.returncode == 2
    assert [line.split()[2] for line in verified.stdout.splitlines() if "digits-int8.tflite" in line] == ["changed"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("{class: x86}", "{class: x86}, tag: a", ("devices.yaml:2", "'tag'", "'tags'?"), id="unknown key"),
        pytest.param("{class: x86}", "x86", ("devices.yaml:2", "tags", "expected a mapping"), id="wrong type"),
        pytest.param("two:", "one:", ("devices.yaml:3", "'one' is there twice", "line 2"), id="duplicate"),
    ],
)
def test_a_mistake_in_the_inventory(
    lab: Lab, assert_refused: Check, old: str, new: str, words: tuple[str, ...]
) -> None:
    replace(lab.directory / "inventory" / "devices.yaml", old, new)
    assert_refused((DEVICES, PLAN, RUN), *words)


def test_a_device_in_two_files_is_refused_with_both_places(lab: Lab, assert_refused: Check) -> None:
    lab.write("inventory/more.yaml", "devices:\n\n  two: {transport: local}\n")
    places = ("inventory/more.yaml:3", "inventory/devices.yaml:3")
    assert_refused((DEVICES, PLAN, RUN), *places, "device 'two' is already declared", "hint", "rename one")


def test_an_inventory_that_is_not_there(assert_refused: Check) -> None:
    where = ("--inventory", "nowhere")
    assert_refused(((*DEVICES, *where), (*RUN, *where)), "nowhere: no such inventory", "hint", "benchfleet init")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param("databse = 'x'", ("unknown setting 'databse'", "hint", "db"), id="unknown key"),
        pytest.param("connect_timeout_s = 'soon'", ("connect_timeout_s", "expected seconds", "'soon'"), id="type"),
        pytest.param("db = ", ("not valid TOML",), id="no TOML"),
    ],
)
def test_a_mistake_in_the_settings(lab: Lab, assert_refused: Check, settings: str, words: tuple[str, ...]) -> None:
    lab.write("benchfleet.toml", f"# of this lab\n{settings}\n")
    assert_refused((DEVICES, PLAN, RUN), "benchfleet.toml:2", *words)


def test_a_settings_file_that_is_not_there(assert_refused: Check) -> None:
    assert_refused(
        ((*DEVICES, "--config", "nowhere.toml"),), "nowhere.toml: no such settings file", "hint", "benchfleet init"
    )


def test_a_wrong_variable_and_a_wrong_flag_are_named(assert_refused: Check) -> None:
    assert_refused((RUN,), "BENCHFLEET_HEARTBEAT_S", "expected seconds", "'-1'", BENCHFLEET_HEARTBEAT_S="-1")
    assert_refused(((*RUN, "--executor", "rya"),), "--executor", "threads or ray", "'rya'")


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("class==x86", ("column 7", "expected a value", "hint")),
        ("one or", ("column", "the end", "hint")),
        ("three*", ("'three*' matches no device", "hint", "one, two")),
    ],
)
def test_a_bad_selector(assert_refused: Check, selector: str, words: tuple[str, ...]) -> None:
    select = ("--select", selector)
    assert_refused(((*DEVICES, *select), (*PLAN, *select), (*RUN, *select)), *words)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://lab/benchfleet", ("unknown kind of database: mysql", "hint", "sqlite:///")),
        ("sqlite://", ("the database needs a file", "hint")),
        ("postgresql://ann:se/cret@lab:x/y", ("not a database URL", "hint", "password")),
    ],
)
def test_a_database_url_that_is_none(assert_refused: Check, url: str, words: tuple[str, ...]) -> None:
    assert_refused(((*RUN, "--db", url), ("runs", "list", "--db", url)), *words)


def test_a_password_in_a_url_is_not_shown(lab: Lab) -> None:
    done = lab.run(*RUN, "--db", "postgresql://ann:se%2Fcret@127.0.0.1:1/y")
    assert_complaint(done, 4, "ann:***@", "hint", "host and port")
    assert "cret" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [("show",), ("follow",), ("resume",), ("cancel",)],
    ids=lambda command: str(command[0]),
)
def test_a_run_that_is_not_there(lab: Lab, command: tuple[str, ...]) -> None:
    lab.run("db", "upgrade")
    done = lab.run("runs", *command, "2001")
    assert_complaint(done, 2, "no run '2001'", "hint", "benchfleet runs list", "--db")


@pytest.mark.parametrize(
    "command",
    [
        ("runs", "show", "last"), ("runs", "show", "last", "--cell", "threads=1"), ("runs", "note", "last", "x"),
        ("runs", "resume", "last"), ("runs", "cancel", "last"), ("runs", "samples", "last", "--cell", "threads=1"),
        ("compare", "last"), ("history", "1"), ("baseline", "show", "main"), ("baseline", "list"), ("nightly", "list"),
        ("regressions", "list"), ("export", "last", "--into", "x"), ("annotate", "pi-03", "fan replaced"),
        ("report", "last", "--html", "x.html"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_for_results_makes_no_database(lab: Lab, command: tuple[str, ...]) -> None:
    file = lab.directory / "nowhere" / "lab.db"
    done = lab.run(*command, "--db", str(file))
    assert not file.parent.exists()
    if command[1:] == ("list",):
        assert done.returncode == 0
        assert done.stdout == ""
    else:
        assert_complaint(done, 2, f"{file}: there is no such database", "benchfleet run makes it")


def test_a_database_that_is_something_else(lab: Lab) -> None:
    text = lab.write("notes.db", "not a database, only notes\n" * 100)
    for command in (RUN, ("runs", "list"), ("sql", "SELECT 1")):
        done = lab.run(*command, "--db", "notes.db")
        assert_complaint(done, 4, str(text), "not an SQLite database", "hint", "check the path")
    assert text.read_text().startswith("not a database")


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user cannot write: for root, that takes a disk that nobody can write."""
    folder = tmp_path / "frozen"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o500)
        yield folder
        return
    with disks.mounted(folder, 1 << 20):
        disks.make_read_only(folder)
        yield folder


def test_a_database_in_a_folder_that_cannot_be_written(lab: Lab, frozen: Path) -> None:
    assert_complaint(lab.run(*RUN, "--db", str(frozen / "lab.db")), 4, str(frozen / "lab.db"), "opened", "hint")
    deeper = lab.run(*RUN, "--db", str(frozen / "deeper" / "lab.db"))
    assert_complaint(deeper, 4, str(frozen / "deeper" / "lab.db"), "folder cannot be made", "hint")
