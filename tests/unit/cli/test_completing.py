"""Names are completed from the lab: devices, runs, variants, metrics."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.completing import ARGUMENTS, OPTIONS, complete_name
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
        ("benchfleet runs show 2024", ["20240601-ab12"]),
        ("benchfleet runs show ", ["last", "20240601-ab12"]),
        ("benchfleet compare --json last --against last", ["last", "last-before"]),
        ("benchfleet compare last --base i", ["int8"]),
        ("benchfleet compare last --metric en", ["energy", "energy_mj", "energy_gross_mj"]),
        ("benchfleet compare --db other.db ", ["last"]),
        ("benchfleet compare last 20", ["20240601-ab12"]),
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
