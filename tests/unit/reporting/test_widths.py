"""Every table at every width of a terminal: no name and no number is cropped, and no line is too long."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType

from orchestrator.domain.comparison import Comparison
from orchestrator.domain.conversation import Step
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import Unreachable
from orchestrator.domain.facts import Facts
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    MissingTrial,
    Offset,
    RunState,
    RunSummary,
    TrialChange,
    TrialCounts,
    TrialState,
)
from orchestrator.domain.run_details import RunDetails
from orchestrator.reporting.live.terminal import LiveDisplay
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.cell_details import cells_view
from orchestrator.reporting.tables.columns import PlainTable
from orchestrator.reporting.tables.compare import CompareView
from orchestrator.reporting.tables.compare_metrics import MetricsView
from orchestrator.reporting.tables.fleet import device_table, model_table, probe_report
from orchestrator.reporting.tables.history import level_table, regression_table
from orchestrator.reporting.tables.plans import SweepPlans, plan_report
from orchestrator.reporting.tables.rows import row_table
from orchestrator.reporting.tables.run_difference import difference_view
from orchestrator.reporting.tables.run_list import run_table
from orchestrator.reporting.tables.runs import run_report
from orchestrator.reporting.tables.series_history import history_view
from orchestrator.reporting.tables.shelf import shelf_table
from tests.unit.reporting import decided, samples
from tests.unit.reporting.rendering import drawn

WIDTHS = (60, 80, 120, 200)
LENGTHS = (3, 60)
COUNTS = (1, 12, 500)
DEVICES_MOST = 12
"""Of tables whose lines are cells rather than devices, so many devices are enough."""


def names(length: int, count: int) -> list[str]:
    """Return names of a length that differ at the end, where a cropped name would lose the difference."""
    letters = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")
    digits = [f"{number:03x}".translate(letters) for number in range(count)]
    return [f"{'pi-rack-7-shelf-2-board-' * 3}"[: length - len(one)] + one for one in digits]


def whole(parts: RenderableType) -> Iterator[str]:
    """Yield the words of the names and numbers of all tables, without the columns that a narrow console leaves out."""
    if isinstance(parts, Group):
        for part in parts.renderables:
            yield from whole(part)
    if isinstance(parts, PlainTable):
        for column, cells in zip(parts.columns, zip(*parts.rows, strict=True), strict=True):
            if not column.prose and not column.spare:
                yield from itertools.chain.from_iterable(cell.plain.split() for cell in cells)


def devices_list(called: Sequence[str]) -> RenderableType:
    listed = [Device(name, TransportKind.SSH, host=f"10.0.0.{place % 250}") for place, name in enumerate(called)]
    return device_table(listed, {called[0]: (samples.PI_FACTS, samples.BEGAN)})


def devices_probe(called: Sequence[str]) -> RenderableType:
    facts = Facts({**samples.PI_FACTS.values, "kernel": "6.6.31+rpt-rpi-2712", "governor": "ondemand", "load_1m": 0.31})
    answers = dict.fromkeys(called[1:], facts) | {called[0]: Unreachable("connection refused", "is it on?")}
    return probe_report(answers, {})


def run_in_full(called: Sequence[str]) -> RenderableType:
    devices = tuple(
        DeviceRun(name, DeviceRunState.COMPLETE, None, None, "c" * 64, Offset("log", 40), {TrialState.MEASURED: 148})
        for name in called
    )
    shown = called[:DEVICES_MOST]
    cells = [
        CellResult(
            Cell(samples.HEADER.run, name, "digits", name, "tflite-runtime==2.14.0", {"threads": 1}),
            "latency_ns",
            (41_873.0 + place, 59_500.0),
            0,
            0,
            0,
            20_512,
            0.970,
            None,
        )
        for place, name in enumerate(shown)
    ]
    label = "int8 · tflite-runtime==2.14.0 · threads=1"
    missing = tuple(MissingTrial(name, label, "a.1", TrialState.FAILED, "killed-by-signal: SIGSEGV") for name in shown)
    record = replace(samples.RUN, devices=devices)
    return run_report(RunDetails(record, missing, tuple(cells), power=samples.POWER, recovery=samples.RECOVERY))


def runs_list(called: Sequence[str]) -> RenderableType:
    took = samples.BEGAN + timedelta(minutes=12)
    return run_table(
        [
            RunSummary(
                run=f"20240602-{place:06d}-a1b2",
                sweep=name,
                models=(name,),
                state=RunState.COMPLETE,
                devices=12,
                devices_complete=12,
                counts=TrialCounts(measured=1479, failed=1),
                started_at=samples.BEGAN,
                finished_at=took,
                device_names=(name,) * 12,
            )
            for place, name in enumerate(called)
        ]
    )


def planned(called: Sequence[str]) -> RenderableType:
    plans = [replace(samples.PLANS[0], device=name) for name in called]
    return plan_report(SweepPlans("digits", 7, plans, {"x": Unreachable("connection refused", "is it on?")}))


def enrolled(called: Sequence[str]) -> RenderableType:
    key = "ED25519 SHA256:" + "x" * 43
    return shelf_table({name: Enrollment(name, f"[{name}]:22", key, f"/h/known_hosts:{len(name)}") for name in called})


def sql_rows(called: Sequence[str]) -> RenderableType:
    rows = ([name, 41_873.25 + place, "a note of several words"] for place, name in enumerate(called))
    return row_table(["device", "p50_ns", "note"], rows)


TABLES: Mapping[str, Callable[[Sequence[str]], RenderableType]] = {
    "devices list": devices_list,
    "devices probe": devices_probe,
    "devices enroll": enrolled,
    "runs show": run_in_full,
    "runs list": runs_list,
    "plan": planned,
    "sql": sql_rows,
}
"""The tables with a line for each device or run."""

FURTHER: Mapping[str, RenderableType] = {
    "cell": cells_view((decided.CELL, decided.UNSAMPLED, decided.PRESSED)),
    "models": model_table([samples.MODEL]),
    "baseline": level_table(decided.LEVELS),
    "regressions": regression_table([decided.REGRESSION, decided.SUSPECTED]),
    "env-diff": difference_view(decided.DIFFERENCE),
    "history": history_view((decided.HISTORY, decided.SHORT)),
}


CASES = [
    (table, length, count, width)
    for table, length, count, width in itertools.product(TABLES, LENGTHS, COUNTS, WIDTHS)
    # Hundreds of folded rows take rich seconds: every layout of them is that of a dozen.
    if count < 500 or width == 80 or table in ("devices list", "plan")
]


@pytest.mark.long
@pytest.mark.parametrize(("table", "length", "count", "width"), CASES)
def test_no_table_crops_a_name_or_a_number(table: str, length: int, count: int, width: int) -> None:
    drawing = TABLES[table](names(length, count))
    text = drawn(drawing, width)

    assert max(map(cell_len, text.splitlines())) <= width
    assert {word for word in whole(drawing) if len(word) <= width} <= set(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", FURTHER)
def test_no_table_of_samples_crops_a_name_or_a_number(table: str, width: int) -> None:
    text = drawn(FURTHER[table], width)

    assert max(len(line) for line in text.splitlines() if not is_of_a_command(line)) <= width
    assert {word for word in whole(FURTHER[table]) if len(word) <= width} <= set(text.split())


def is_of_a_command(line: str) -> bool:
    """Say whether a line is a part of a command, of which no word is broken."""
    return line.startswith("  benchfleet") or line.endswith("\\") or "=" in line


def compared(length: int) -> Comparison:
    groups = []
    for group in samples.IN_METRICS.groups[:1]:
        called = iter(names(length, 16))
        rows = tuple(replace(row, side=replace(row.side, at=next(called))) for row in group.rows)
        assert group.base is not None
        groups.append(replace(group, base=replace(group.base, at=next(called)), rows=rows))
    return replace(samples.IN_METRICS, groups=tuple(groups), commands=())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("view", [CompareView, MetricsView])
def test_no_comparison_crops_a_name_or_a_number(
    view: Callable[[Comparison], RenderableType], length: int, width: int
) -> None:
    comparison = compared(length)
    text = drawn(view(comparison), width)
    (group,) = comparison.groups
    assert group.base is not None
    sides = [group.base, *(row.side for row in group.rows)]

    assert max(map(cell_len, text.splitlines())) <= width
    assert {side.at for side in sides} <= set(text.split())
    ratios = [row.ratio for row in group.rows if row.ratio is not None]
    assert {numbers.factor(ratio.value) for ratio in ratios} <= set(text.split())
    assert numbers.quantity(group.base.value, comparison.metric.unit) in text


# ---- The live view


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def live(length: int, count: int, width: int, height: int = 24) -> tuple[list[str], list[str]]:
    """Return the lines of the live view of a run under way, and the names of the devices."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, _environ={"TERM": "xterm"})
    clock, called = Clock(), names(length, count)
    display = LiveDisplay(console, clock)
    for place, name in enumerate(called):
        display.step(name, Step.CONNECT, "")
        if place % 5 == 3:
            continue
        display.planned(name, 148, 0)
        display.step(name, Step.FOLLOW, "")
        for trial in range(13):
            clock.now += 0.01
            label = f"int8 · tflite-runtime==2.14.0 · threads={trial % 4 + 1}"
            display.changed(TrialChange(name, f"j.{trial}", label, TrialState.MEASURED, "measure", 41_873.0, 51.2))
        if place % 7 == 6:
            display.changed(
                TrialChange(name, "j.14", label, TrialState.FAILED, "measure", failure="timeout: " + "no answer " * 30)
            )
        if place % 11 == 10:
            display.step(name, Step.CONNECT, "attempt 1")
    clock.now += 20
    return drawn(display.render(), width).splitlines(), called


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_live_view_crops_no_name_and_no_number_and_keeps_to_the_terminal(
    length: int, count: int, width: int
) -> None:
    lines, called = live(length, count, width)
    words = {word for line in lines for word in line.split()}

    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 24
    shown = words.intersection(called)
    assert len(set(called)) == count
    assert shown
    # What looks like the beginning of a name is a name. Beginnings of short names are words, too.
    assert length == 3 or not {word for word in words if any(name.startswith(word) for name in called)} - shown
    assert {word for word in words if "/148" in word} <= {"13/148", "14/148", "0/148"}
    if count == 500:
        assert any(line.startswith("… and ") and "more devices: " in line for line in lines)


def test_a_lost_link_says_for_how_long_and_that_the_device_goes_on() -> None:
    lines, _ = live(3, 12, 80)
    assert any("link lost 20 s, device goes on" in line for line in lines)


def test_a_lost_link_takes_no_room_from_the_other_devices() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, _environ={"TERM": "xterm"})
    clock, called = Clock(), names(19, 500)
    display = LiveDisplay(console, clock)
    for place, name in enumerate(called):
        display.planned(name, 148, 0)
        display.step(name, Step.FOLLOW, "")
        label = f"int8 · tflite-runtime==2.14.0 · threads={place % 2 + 1}"
        display.changed(TrialChange(name, "j.1", label, TrialState.MEASURED, "measure", 41_873.0, 51.2))
    display.step(called[0], Step.CONNECT, "attempt 1")
    clock.now += 65
    lines = drawn(display.render(), 80).splitlines()
    (lost,) = (line for line in lines if "link lost" in line)
    assert lost.split()[0] == called[0]
    assert lost.endswith("1/148  link lost 1 min 05 s, device goes on")
    assert len([line for line in lines if line.split()[0] in called]) >= 18, "a line each"


def test_a_failure_stands_below_the_table_and_makes_no_narrow_column() -> None:
    lines, called = live(3, 12, 80)
    (place,) = (place for place, line in enumerate(lines) if "timeout: " in line)
    assert place > max(place for place, line in enumerate(lines) if "13/148" in line)
    assert lines[place].startswith(called[6])
    assert len(lines) <= 24


def test_what_all_cells_share_is_told_once() -> None:
    lines, _ = live(3, 12, 80)
    assert sum("tflite-runtime==2.14.0" in line for line in lines) == 1
    assert sum("threads=1" in line for line in lines) >= 8
