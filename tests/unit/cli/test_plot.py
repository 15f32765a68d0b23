"""Figures as files, and what they show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.bootstrap import Wiring
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.figure import Interval, IntervalsFigure, Line, LinesFigure, Moment
from orchestrator.domain.metric import Unit
from orchestrator.reporting.plots.drawing import drawn
from orchestrator.services.results.figures import intervals_figure, pareto_figure
from orchestrator.settings import load_settings
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import measure

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

MEMORY = {"fp32": 9_000_000, "fp16": 5_000_000, "int8": 7_000_000}


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """fp16 has the least memory, int8 is the fastest, and fp32 is beaten by both."""
    latencies = {"fp32": (3000, 3001, 3002), "fp16": (2000, 2001, 2002), "int8": (1000, 1001, 1002)}
    measure(database_file, latencies, "r1", memory=MEMORY)
    return database_file


@pytest.mark.parametrize(
    "words",
    [("latency", "last"), ("power", "last", "--metric", "memory"), ("pareto", "last"), ("history", "variant=*")],
)
def test_each_figure_is_a_whole_file_of_either_format(command: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    for form in ("svg", "png"):
        ended = command("plot", *words, "-o", f"figure.{form}", "--json")
        assert ended.code == ExitCode.FINE, ended.err
        (file,) = json.loads(ended.out)
        content = (tmp_path / f"figure.{form}").read_bytes()
        assert (file["format"], file["size_bytes"]) == (form, len(content))
        if form == "png":
            assert content.startswith(b"\x89PNG\r\n")
        else:
            shown = " ".join(ElementTree.fromstring(content).itertext())
            assert "int8" in shown


def test_a_figure_has_the_values_of_the_tables(lab: Path) -> None:
    with Wiring(load_settings({"db": str(lab)}, config=None)) as wiring:
        figure = intervals_figure("last", "latency", wiring)
        front = pareto_figure("last", "latency", "memory", wiring)
    assert [row.value for row in figure.rows] == pytest.approx([3001, 2001, 1001], abs=0.01)
    assert all(row.low is not None and row.low < row.value < (row.high or 0) for row in figure.rows)
    assert [(spot.label.split(" · ")[1], spot.on_front) for spot in front.spots] == [
        ("fp32", False),
        ("fp16", True),
        ("int8", True),
    ]


def test_a_series_of_one_run_has_hours_around_the_run_and_a_title() -> None:
    moment = Moment(datetime(2026, 11, 30, 9, 15, tzinfo=UTC), 1e6, 9e5, 2e6)
    figure = LinesFigure("int8 over time", "latency_ns", Unit.NANOSECONDS, (Line("int8", (moment,), (), None),))
    words = [text.strip() for text in ElementTree.fromstring(drawn(figure, "svg")).itertext()]
    assert "int8 over time" in words
    hours = [word for word in words if re.fullmatch(r"\d\d-\d\d \d\d", word)]
    assert {hour[:5] for hour in hours} == {"11-30"}
    assert not [word for word in words if re.fullmatch(r"\d{4}(-\d\d)?", word)], "no years and months"


def test_words_of_a_device_are_words_and_equal_figures_equal_bytes() -> None:
    evil = "<script>$\\frac{1}{0}$</script>\x1b[2J\u202e"
    figure = IntervalsFigure(evil, "latency_ns", Unit.NANOSECONDS, (Interval(evil, 1e6, 9e5, 2e6),), 1)
    content = drawn(figure, "svg")
    assert content == drawn(figure, "svg")
    root = ElementTree.fromstring(content)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert "<script>$\\frac{1}{0}$</script>\\x1b[2J\\u202e" in " ".join(root.itertext())


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("latency", "last", "-o", "figure.pdf"), "error: figure.pdf: is neither an svg nor a png"),
        (("power", "last", "-o", "figure.svg"), "error: no cell of run r1 has a value of power"),
        (("pareto", "last", "--x", "power_idle_w", "-o", "f.svg"), "error: of power_idle_w neither more nor less"),
    ],
)
def test_what_cannot_be_drawn_is_said(command: Command, tmp_path: Path, words: tuple[str, ...], error: str) -> None:
    ended = command("plot", *words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert not list(tmp_path.glob("*.svg"))


def test_a_file_of_settings_of_the_users_changes_no_figure(tmp_path: Path) -> None:
    """Such a file is read at the first import of matplotlib, and so by a process of its own."""
    program = (
        "import sys; from orchestrator.domain.figure import Interval, IntervalsFigure\n"
        "from orchestrator.domain.metric import Unit\n"
        "from orchestrator.reporting.plots.drawing import drawn\n"
        "figure = IntervalsFigure('t', 'x', Unit.NANOSECONDS, (Interval('int8', 3.0, 2.0, 4.0),), 0)\n"
        "sys.stdout.buffer.write(drawn(figure, 'svg'))"
    )
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 9\naxes.facecolor: red\n")
    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "MATPLOTLIBRC": place},
            check=True,
            capture_output=True,
        ).stdout
        for place in (os.devnull, str(tmp_path))
    ]
    assert made[0].startswith(b"<?xml")
    assert made[1] == made[0]
