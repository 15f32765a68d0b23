"""Draw series over time: a line with marks, what the marks stand for, and the newest runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from orchestrator.domain.series_history import ChangeKind, HistoryPoint, SeriesHistory
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.line_plot import Dot, LinePlot, bounds, line_plot
from orchestrator.reporting.text import clean

RUNS_SHOWN = 10
_MARKS_SHOWN = 20
STEP, REGRESSION, ENVIRONMENT, BUILD, NOTE = "^", "R", "E", "B", "N"
"""The signs below a line: a step, a regression on record, a changed environment or build, and a note."""
_SIGNS = {
    STEP: "step to another level",
    REGRESSION: "regression on record",
    ENVIRONMENT: "changed environment or power source",
    BUILD: "changed artifact, runtime or worker",
    NOTE: "note of a person",
}
_RUNS = (
    Column("run"),
    Column("began"),
    Column("value", right=True),
    Column("95 % interval"),
    Column("n", right=True),
    Column("night", fold=True, spare=True),
)
_LEGEND = (
    "value: geometric mean over the trials of a run, far trials set aside (n: 5-1). interval: 95 %, over trials, with "
    "the noise usual in this series. report and plot learn the usual noise from the run's other cells on the device "
    "instead, and their intervals differ a little."
)
_WHAT = (Column(""), Column("when"), Column("what", prose=True))


class _Drawing:
    """Render the line of one series, as wide as the console."""

    def __init__(self, history: SeriesHistory) -> None:
        self._history = history

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        history = self._history
        plot = plot_of(history)
        ends = bounds(plot)
        if ends is not None:
            labels = (numbers.quantity(ends[0], history.unit), numbers.quantity(ends[1], history.unit))
            for line in line_plot(plot, labels, options.max_width):
                yield Text(line, no_wrap=True)


def plot_of(history: SeriesHistory) -> LinePlot:
    """Return the drawing of a series, with a mark for everything that changed."""
    marks: dict[str, list[datetime]] = {sign: [] for sign in _SIGNS}
    for sign, at, _ in marked(history):
        marks[sign].append(at)
    dots = [Dot(point.started_at, point.value, point.low, point.high) for point in history.points]
    return LinePlot(dots, None if history.baseline is None else history.baseline.value, marks)


def marked(history: SeriesHistory) -> list[tuple[str, datetime, str]]:
    """Return what is marked in a history, in the order of time: sign, moment and text."""
    return sorted(_marked(history), key=lambda mark: mark[1])


def _marked(history: SeriesHistory) -> Iterator[tuple[str, datetime, str]]:
    began = {point.run: point.started_at for point in history.points}
    for step in history.steps:
        yield STEP, step.at, f"step {numbers.factor(step.ratio)} from run {step.run} on"
    for one in history.regressions:
        if one.candidate_run in began:
            words = f"regression {one.id}, {one.state.value}, {one.direction.value}, run {one.candidate_run}"
            yield REGRESSION, began[one.candidate_run], words
    for change in history.changes:
        is_around = change.kind in (ChangeKind.ENVIRONMENT, ChangeKind.SOURCE)
        yield ENVIRONMENT if is_around else BUILD, change.at, f"{change.kind.value}: {change.text}"
    for note in history.annotations:
        day = note.first_day.isoformat()
        at = next((point.started_at for point in history.points if f"{point.started_at:%Y-%m-%d}" >= day), None)
        if at is not None:
            yield NOTE, at, note.text


def history_view(histories: Sequence[SeriesHistory]) -> RenderableType:
    """Return series over time, one below the other."""
    parts: list[RenderableType] = []
    for history in histories:
        parts += [Text()] * bool(parts)
        parts += _series(history)
    return Group(*parts, *([Text(_LEGEND, style="dim")] if parts else []))


def _series(history: SeriesHistory) -> Iterator[RenderableType]:
    yield Text(clean(f"{history.metric} · {history.series.label}"), style="bold cyan")
    yield Text(clean(f"series {history.series.id}, {_extent(history)}"))
    if sum(point.value is not None for point in history.points) > 1:
        yield _Drawing(history)
    marks = marked(history)
    signs = {sign for sign, _, _ in marks}
    if signs:
        yield Text("  ".join(f"{sign} {text}" for sign, text in _SIGNS.items() if sign in signs), style="dim")
        rows = [(sign, numbers.told(at), text) for sign, at, text in marks[-_MARKS_SHOWN:]]
        yield plain_table(_WHAT, rows)
    if len(marks) > _MARKS_SHOWN:
        yield Text(f"and {len(marks) - _MARKS_SHOWN} earlier ones: --json has all", style="dim")
    yield plain_table(_RUNS, (_run(point, history) for point in history.points[-RUNS_SHOWN:]))
    if len(history.points) > RUNS_SHOWN:
        yield Text(f"the newest {RUNS_SHOWN} runs; --format csv has all {len(history.points)}", style="dim")


def _extent(history: SeriesHistory) -> str:
    words = f"{len(history.points)} runs" if len(history.points) != 1 else "1 run"
    without = sum(point.value is None for point in history.points)
    words += f", {without} without a value" if without else ""
    words += f", {history.left_out} earlier ones left out (--limit)" if history.left_out else ""
    if history.baseline is not None:
        value = numbers.quantity(history.baseline.value, history.unit)
        words += f"; baseline {history.baseline.name}: {value}, run {history.baseline.run} (╌)"
    return f"{words}; {history.steps_reason}" if history.steps_reason is not None else words


def _run(point: HistoryPoint, history: SeriesHistory) -> tuple[str | None, ...]:
    interval = None
    if point.low is not None and point.high is not None:
        interval = f"{numbers.quantity(point.low, history.unit)} – {numbers.quantity(point.high, history.unit)}"
    return (
        point.run,
        numbers.told(point.started_at),
        numbers.quantity(point.value, history.unit),
        interval if point.reason is None else point.reason,
        str(point.trials) if not point.set_aside else f"{point.trials}-{point.set_aside}",
        point.night,
    )
