"""Exports as a shell script makes them, and as DuckDB and pandas read them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.export import MEASUREMENTS, SAMPLES
from tests.unit.cli.conftest import Command
from tests.unit.cli.processes import REPOSITORY
from tests.unit.cli.test_cell import LATENCIES
from tests.unit.cli.test_cell import lab as lab

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

PLACE = Path("run=run-1/device=pi-03")
PAGE = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")


def rows_of(folder: Path) -> list[Mapping[str, str]]:
    (file,) = folder.rglob("*.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_every_counted_measurement_and_every_sample_in_order(command: Command, tmp_path: Path) -> None:
    ended = command("export", "last", "-o", "lab", "--format", "csv", "--samples")
    assert ended.code == ExitCode.FINE, ended.err
    measured = rows_of(tmp_path / "lab" / "measurements" / PLACE)
    assert list(measured[0]) == list(MEASUREMENTS)
    assert sorted((one["variant"], one["trial_index"], one["n"]) for one in measured) == [
        ("fp32", "1", "400"),
        ("fp32", "2", "400"),
        ("int8", "1", ""),
        ("int8", "2", ""),
    ]
    assert {float(one["value"]) for one in measured if one["variant"] == "fp32"} == {median(LATENCIES)}
    assert {(one["counted"], one["unit"], one["p99_9"]) for one in measured} == {("true", "ns", "")}
    sampled = rows_of(tmp_path / "lab" / "samples" / PLACE)
    assert list(sampled[0]) == list(SAMPLES)
    for trial in ("1", "2"):
        own = [one for one in sampled if one["trial_index"] == trial]
        assert [int(one["value"]) for one in own] == LATENCIES
        assert [int(one["position"]) for one in own] == list(range(400))


def test_parquet_holds_what_csv_holds(command: Command, tmp_path: Path) -> None:
    import pyarrow.parquet as pq  # here: the quick loop collects this file, and has no pyarrow

    for form in ("csv", "parquet"):
        words = ("--format", form, "--samples", "--all-attempts")
        assert command("export", "--since", "2020-01-01", "-o", form, *words).code == ExitCode.FINE
    for table in ("measurements", "samples"):
        expected = rows_of(tmp_path / "csv" / table / PLACE)
        found = pq.read_table(tmp_path / "parquet" / table / PLACE / "part-0.parquet", partitioning=None).to_pylist()
        assert len(found) == len(expected)
        for line, row in zip(expected, found, strict=True):
            assert list(line) == list(row)
            for name in ("variant", "metric", "settings", "unit"):
                assert line[name] == row[name]
            assert float(line["value"]) == row["value"]
    everything = rows_of(tmp_path / "csv" / "measurements" / PLACE)
    assert [one["invalid"] for one in everything if one["counted"] == "false"] == ['["too-hot"]']


def test_the_examples_of_the_page_work_on_an_export(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb
    import pandas as pd

    assert command("export", "last", "-o", "lab", "--samples").code == ExitCode.FINE
    statements = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert (len(statements), len(programs)) == (2, 2)
    with closing(duckdb.connect()) as connection:
        cells, trials = (connection.execute(statement).fetchall() for statement in statements)
    assert [(row[0], row[1], row[4], row[5]) for row in cells] == [
        ("pi-03", "int8", 0.02, 2),
        ("pi-03", "fp32", pytest.approx(median(LATENCIES) / 1e6), 2),
    ]
    assert [(row[2], row[4]) for row in trials] == [(1, 400), (2, 400)]
    assert trials[0][3] == pytest.approx(pd.Series(LATENCIES).quantile(0.99) / 1e6)
    for program in programs:
        exec(compile(program, "docs/export.md", "exec"), {})
    printed = capsys.readouterr().out
    assert str(median(LATENCIES)) in printed
    assert "400.0" in printed


def test_a_folder_that_is_there_is_left_alone_and_a_failure_leaves_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").write_text("mine")
    there = command("export", "last", "-o", "kept")
    assert there.code == ExitCode.USAGE
    assert there.err.startswith("error: kept: is there already")
    assert (tmp_path / "kept" / "mine").read_text() == "mine"
    assert command("export", "last", "-o", "kept/mine/below").code == ExitCode.USAGE
    assert not list(tmp_path.rglob("*incoming*"))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("-o", "lab"), "error: what is to be exported?"),
        (("last", "--since", "1d", "-o", "lab"), "error: what is to be exported?"),
        (("last", "-o", "lab", "--format", "xlsx"), "error: --format xlsx: there is no such format"),
        (("--until", "2001-01-01", "-o", "lab"), "error: no run began in that time"),
        (("r9", "-o", "lab"), "error: there is no run 'r9'"),
    ],
)
def test_what_cannot_be_exported_is_said(command: Command, tmp_path: Path, words: tuple[str, ...], error: str) -> None:
    ended = command("export", *words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert not (tmp_path / "lab").exists()
