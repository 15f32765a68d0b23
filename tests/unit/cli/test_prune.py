"""`db prune`, as a person types it, and what commands and pages say of samples that are gone."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.services.pages.cell import cell_samples
from orchestrator.store.store import open_reader
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_cell import lab as lab

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

PRUNE = ("db", "prune", "--keep-raw", "90d")
CELL = ("runs", "show", "run-1", "--cell", "variant=fp32", "--json")


def test_a_dry_run_and_an_unanswered_question_delete_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    dry = command(*PRUNE, "--dry-run")
    assert dry.code == ExitCode.FINE, dry.err
    assert dry.out.startswith("would be deleted: raw samples of 1 run from before ")
    asked = command(*PRUNE)
    assert asked.code == ExitCode.USAGE
    assert "delete for good? Summaries stay." in asked.err
    assert asked.err.endswith("error: no answer on standard input\nhint: --yes answers yes\n")
    assert command("runs", "samples", "run-1", "--cell", "variant=fp32").code == ExitCode.FINE
    assert json.loads(command("sql", "SELECT count(*) AS n FROM raw_pruning", "--json").out) == [{"n": 0}]
    young = command("db", "prune", "--keep-raw", "soon")
    assert young.err.startswith("error: --keep-raw: not a duration: 'soon'\n")


def test_summaries_stay_and_everybody_says_who_pruned_and_when(command: Command, lab: Path) -> None:
    (before,) = json.loads(command(*CELL).out)
    compared = command("compare", "run-1", "--json").out
    pruned = command(*PRUNE, "--yes", "--json")
    assert pruned.code == ExitCode.FINE, pruned.err
    made = json.loads(pruned.out)
    # Three attempts of fp32 had samples, one of them invalid.
    assert [(one["run"], one["blocks"]) for one in made["runs"]] == [("run-1", 3)]
    assert made["advice"].endswith("benchfleet db prune --keep-raw 90d --vacuum")

    (after,) = json.loads(command(*CELL).out)
    assert (before["unsampled"], after["histogram"]) == (None, None)
    assert after["attempts"] == before["attempts"]
    assert command("compare", "run-1", "--json").out == compared
    sentence = after["unsampled"]
    assert sentence.startswith("the raw samples and power readings were pruned on ")
    assert sentence.endswith("; summaries stay")
    samples = command("runs", "samples", "run-1", "--cell", "variant=fp32")
    assert samples.code == ExitCode.USAGE
    assert samples.err.startswith(f"error: run run-1: {sentence}\n")
    exported = command("export", "run-1", "-o", "out", "--samples", "--format", "csv")
    assert exported.code == ExitCode.FINE, exported.err
    assert exported.err.splitlines()[-1] == f"run run-1: {sentence}"
    with open_reader(str(lab)) as reader:
        (job,) = (one.job for one in reader.cells.jobs_of("run-1") if one.label.startswith("fp32"))
        assert cell_samples(job, "latency_ns", reader).pruned == sentence

    again = json.loads(command(*PRUNE, "--yes", "--json").out)
    assert (again["runs"], again["advice"]) == ([], None)


def test_the_disk_gets_the_room_back(command: Command, lab: Path) -> None:
    with closing(sqlite3.connect(lab)) as connection, connection:
        connection.execute("UPDATE sample_block SET data = zeroblob(4000000)")
    before = lab.stat().st_size
    assert before > 8_000_000
    assert command(*PRUNE, "--yes", "--vacuum").code == ExitCode.FINE
    assert lab.stat().st_size < before - 8_000_000
