"""Names are completed from the lab: devices, runs, variants, metrics, tags, models, sweeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.completing import ARGUMENTS, OPTIONS, complete_name
from orchestrator.cli.known_names import memory_of, remember
from orchestrator.domain.schedule import NewSchedule, Rhythm
from orchestrator.domain.submission import ParcelFile
from orchestrator.store.store import open_store
from tests.unit.cli.commands import LEAVES
from tests.unit.cli.measured_runs import measure

INVENTORY = """
defaults: {user: pi}
devices:
  # the shelf
  pi-03: {host: 10.0.0.3, tags: {class: rpi}}
  'pi-04':
    host: 10.0.0.4
  "$(touch evil)": {transport: local}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "shelf.yaml").write_text(INVENTORY)
    (tmp_path / "sweeps").mkdir()
    measure(tmp_path / "benchfleet.db", {"fp32": (1.0, 2.0), "int8": (1.0, 2.0)}, "20240601-ab12")
    with open_store(str(tmp_path / "benchfleet.db")) as store:
        store.words.change_tags("20240601-ab12", {"branch": "main"}, (), "ann@ws1")
        empty = ParcelFile("sweep.yaml", "e" * 64, 0)
        store.vault.begin_blob(empty.sha256, empty.size)
        store.vault.finish_blob(empty.sha256)
        nightly = Rhythm("0 22 * * *", "UTC")
        store.schedules.add_schedule(NewSchedule("nights", "ann@ws1", nightly, "one", "one.yaml", "all", 0, (empty,)))
    monkeypatch.chdir(tmp_path / "sweeps")
    return tmp_path


def completed(line: str, shell: str = "bash", **more: str) -> list[str] | None:
    """Return the answer's lines for a command line with the cursor at its end; None where Typer is to complete."""
    words = line.split(" ")
    said: list[str] = []
    environ = {"_BENCHFLEET_COMPLETE": f"complete_{shell}", **more}
    environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_ARGS": line}
    return "".join(said).splitlines() if complete_name(environ, said.append) else None


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("benchfleet devices probe --select pi", ["pi-03", "pi-04"]),
        ("benchfleet devices reserve pi-04", ["pi-04"]),
        ("benchfleet schedule pause n", ["nights"]),
        ("benchfleet runs show 2024", ["20240601-ab12"]),
        ("benchfleet runs show ", ["last", "20240601-ab12"]),
        ("benchfleet compare --json last --against last", ["last", "last-before"]),
        ("benchfleet compare last --base i", ["int8"]),
        (
            "benchfleet compare last --metric energy_g",
            ["energy_gross_mj", "energy_gross_u95_mj", "energy_gross_item_mj"],
        ),
        ("benchfleet compare --db other.db ", ["last"]),
        ("benchfleet compare last 20", ["20240601-ab12"]),
        ("benchfleet runs list --tag br", ["branch=main"]),
        ("benchfleet runs tag last branch=", ["branch=main"]),
        ("benchfleet runs list --device pi-0", ["pi-03", "pi-04"]),
        ("benchfleet runs list --model d", ["digits"]),
        ("benchfleet run sweeps/a.yaml --variants in", ["int8"]),
    ],
)
def test_names_complete_below_the_lab_too(lab: Path, line: str, names: list[str]) -> None:
    found = completed(line)
    assert found is not None
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize(
    "line", ["benchfleet ru", "benchfleet runs sh", "benchfleet run sweeps/q", "benchfleet compare --me", "benchfleet "]
)
def test_whatever_is_no_name_is_left_to_typer(lab: Path, line: str) -> None:
    assert completed(line) is None


def test_no_name_is_more_than_a_word_to_the_shell_that_evaluates_the_answer(lab: Path) -> None:
    answer = completed("benchfleet devices reserve ", "zsh")
    assert answer is not None
    assert "pi-03" in answer[0]
    assert "touch" not in "".join(answer)


@pytest.mark.parametrize(
    ("words", "answer"),
    [(["branch", "="], ["main"]), (["branch", "=", "ma"], ["main"]), (["bra"], ["branch=main"]), (["a", "=", "x"], [])],
)
def test_bash_completes_what_stands_behind_the_sign_that_divides_its_words(
    lab: Path, words: list[str], answer: list[str]
) -> None:
    line = ["benchfleet", "runs", "tag", "last", *words]
    said: list[str] = []
    environ = {"COMP_WORDS": "\n".join(line), "COMP_CWORD": str(len(line) - 1)}
    assert complete_name({"_BENCHFLEET_COMPLETE": "complete_bash", **environ}, said.append)
    assert "".join(said).split() == answer


def test_names_of_a_server_are_remembered_for_the_next_time(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://nobody@nowhere/lab"
    environ = {"HOME": str(lab), "BENCHFLEET_DB": url}
    memory = memory_of(url, environ)
    # The same questions are asked of any database.
    monkeypatch.setenv("BENCHFLEET_DB", str(lab / "benchfleet.db"))
    remember(memory)
    assert memory.parent.stat().st_mode & 0o077 == 0
    assert completed("benchfleet runs show 2", **environ) == ["20240601-ab12"]
    assert completed("benchfleet compare last --base i", **environ) == ["int8"]
    assert completed("benchfleet runs list --tag b", **environ) == ["branch=main"]


def test_a_server_that_does_not_answer_leaves_no_names_and_no_trace(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHFLEET_DB", str(lab / "gone.db"))
    memory = memory_of("postgresql://nobody@nowhere/lab", {"HOME": str(lab)})
    remember(memory)
    assert [path.name for path in memory.parent.iterdir()] == [memory.name]
    assert memory.read_text() == ""
    environ = {"HOME": str(lab), "BENCHFLEET_DB": "postgresql://nobody@nowhere/lab"}
    assert completed("benchfleet devices reserve pi", **environ) == ["pi-03", "pi-04"]


@pytest.mark.system
def test_a_name_is_completed_without_what_is_slow_to_import(lab: Path) -> None:
    code = (
        "import sys, orchestrator.__main__ as command; command.main(); "
        "print(sorted({'typer', 'rich', 'yaml', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    line = {"COMP_WORDS": "benchfleet\ndevices\nreserve\npi", "COMP_CWORD": "3"}
    environ = {**os.environ, "_BENCHFLEET_COMPLETE": "complete_bash", **line}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["pi-03", "pi-04", "[]"]


def test_other_shells_get_what_their_scripts_expect(lab: Path) -> None:
    assert completed("benchfleet devices reserve pi", "zsh") == ['_arguments \'*: :(("pi-03"', '"pi-04"))\'']
    assert completed("benchfleet devices reserve zz", "zsh") == ["_files"]
    assert completed("benchfleet devices reserve pi", "fish", _TYPER_COMPLETE_FISH_ACTION="get-args") == [
        "pi-03",
        "pi-04",
    ]
    with pytest.raises(SystemExit) as end:
        completed("benchfleet devices reserve zz", "fish", _TYPER_COMPLETE_FISH_ACTION="is-args")
    assert end.value.code == 1


def test_the_tables_name_commands_and_options_that_there_are() -> None:
    assert {" ".join(words) for words in ARGUMENTS} <= set(LEAVES)
    known = {option for command in LEAVES.values() for parameter in command.params for option in parameter.opts}
    assert set(OPTIONS) <= known
