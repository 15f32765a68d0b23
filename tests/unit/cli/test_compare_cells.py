"""`compare --cell`: the rows that a person wants, judged as the whole is."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import measure

LATENCIES = {"fp32": (1000, 1001, 1002), "int8": (2000, 2001, 2002), "fp16": (900, 901, 902)}
WORDS = ("compare", "last", "--base", "fp32", "--json")


def test_a_rule_or_the_words_of_a_cell_keep_rows_with_the_figures_of_the_whole(
    command: Command, database_file: Path
) -> None:
    measure(database_file, LATENCIES, threads=(1, 2))
    everything = json.loads(command(*WORDS).out)["groups"]
    for rule in ("variant=int8,threads=2", "variant=int*,threads=2,device=pi-03", "pi-03 · int8 · threads=2"):
        (group,) = json.loads(command(*WORDS, "--cell", rule).out)["groups"]
        (row,) = group["rows"]
        assert row in [one for each in everything for one in each["rows"]]
        assert (row["side"]["at"] if "side" in row else row["at"]) == "int8"
    both = json.loads(command(*WORDS, "--cell", "variant=int8", "--cell", "variant=fp16").out)["groups"]
    assert [len(group["rows"]) for group in both] == [2, 2]


def test_a_rule_that_names_no_row_says_what_there_is(command: Command, database_file: Path) -> None:
    measure(database_file, LATENCIES)
    ended = command(*WORDS, "--cell", "variant=int9")
    assert ended.code == ExitCode.USAGE
    assert "--cell 'variant=int9' names no compared cell" in ended.err
    assert "int8" in ended.err
    assert "threads" in command(*WORDS, "--cell", "thread=1").err


def test_a_gate_judges_the_named_cells_alone(command: Command, database_file: Path) -> None:
    measure(database_file, LATENCIES)
    assert command(*WORDS, "--fail-on-regression").code == ExitCode.REGRESSION
    assert command(*WORDS, "--fail-on-regression", "--cell", "variant=fp16").code == ExitCode.FINE
