"""Raw samples of cells, as rows and as files."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.export import CELL_SAMPLES
from tests.unit.cli.conftest import Command
from tests.unit.cli.processes import REPOSITORY
from tests.unit.cli.test_cell import LATENCIES
from tests.unit.cli.test_cell import lab as lab

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

CELL = ("last", "--cell", "variant=fp32")


def test_rows_are_every_sample_of_every_counted_trial_in_order(command: Command) -> None:
    ended = command("runs", "samples", *CELL)
    assert ended.code == ExitCode.FINE, ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert list(rows[0]) == list(CELL_SAMPLES)
    assert {(row["run"], row["device"], row["variant"], row["unit"], row["batch"]) for row in rows} == {
        ("run-1", "pi-03", "fp32", "ns", "1")
    }
    for trial in ("1", "2"):
        own = [row for row in rows if row["trial_index"] == trial]
        assert [int(row["value"]) for row in own] == LATENCIES
        assert [int(row["position"]) for row in own] == list(range(400))


def test_a_file_of_arrays_has_an_array_for_each_trial(command: Command, tmp_path: Path) -> None:
    ended = command("runs", "samples", *CELL, "-o", "fp32.npz")
    assert ended.code == ExitCode.FINE, ended.err
    with np.load(tmp_path / "fp32.npz") as found:  # without pickle
        assert found["trial_index"].tolist() == [1, 2]
        assert found["settings"].tolist() == ['{"threads":1}'] * 2
        assert set(found.files) == {*CELL_SAMPLES, "value_0", "value_1"} - {"position", "value"}
        for place in range(2):
            assert found[f"value_{place}"].tolist() == LATENCIES


def test_every_format_of_a_file_has_the_same_samples(command: Command, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for words in (("a.csv",), ("a.parquet",), ("b", "--format", "csv")):
        assert command("runs", "samples", *CELL, "-o", *words).code == ExitCode.FINE
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in rows] == lines
    assert (tmp_path / "b").read_text() == (tmp_path / "a.csv").read_text() == command("runs", "samples", *CELL).out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("last", "--cell", "variant=int8"), "error: pi-03 · "),
        (("last", "--cell", "variant=no"), "error: --cell matches no cell of the run"),
        ((*CELL, "--format", "npz"), "error: --format npz: goes into a file alone"),
        ((*CELL, "--format", "xlsx"), "error: --format xlsx: there is no such format"),
        ((*CELL, "-o", "a.xlsx"), "error: a.xlsx: no format has the ending .xlsx"),
        ((*CELL, "-o", "none/a.csv"), "error: none/a.csv: the samples cannot be written"),
        ((*CELL, "--metric", "load_ns"), "error: pi-03 · "),
    ],
)
def test_what_has_no_samples_is_said(command: Command, tmp_path: Path, words: tuple[str, ...], error: str) -> None:
    ended = command("runs", "samples", *words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".a", "a."))]


def test_the_layout_of_the_page_is_that_of_the_database(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(
        r"```python\n(.*?)```", (REPOSITORY / "docs" / "schema.md").read_text(encoding="utf-8"), re.DOTALL
    )
    exec(compile(program, "docs/schema.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    with closing(sqlite3.connect(tmp_path / "benchfleet.db")) as connection:
        blocks = connection.execute("SELECT attempt_id, metric FROM sample_block").fetchall()
    assert len(printed) == len(blocks) >= 3
    assert f" latency_ns {min(LATENCIES)} {max(LATENCIES)}" in printed[0]
