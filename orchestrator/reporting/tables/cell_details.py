"""Draw cells of a run: attempts with conditions, and a histogram of the raw samples."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from orchestrator.domain.cell_details import AttemptDetails
from orchestrator.domain.cell_distribution import AttemptValue, Bin, CellInMetric, Histogram
from orchestrator.domain.cell_figures import CellFigure
from orchestrator.domain.condition import breach_in_words
from orchestrator.domain.expansion import model_in
from orchestrator.domain.metric import Direction, metric_named
from orchestrator.domain.plan.values import TrialKind
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.commands import CommandLines
from orchestrator.reporting.text import ABSENT, clean

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_COLUMNS = (
    Column("trial"),
    Column("id", right=True),
    Column("outcome", prose=True),
    Column("value", right=True),
    Column("n", right=True),
    Column("p90", right=True),
    Column("p99", right=True),
    Column("°C", right=True),
    Column("MHz", right=True),
    Column("load", right=True, spare=True),
    Column("busiest other", spare=True),
    Column("source", spare=True),
)
_WORDS_LINES_MAX = 12
_FIGURE_COLUMNS = (
    Column("metric"),
    Column("value", right=True),
    Column("lowest", right=True, spare=True),
    Column("highest", right=True, spare=True),
    Column("trials", right=True),
    Column("better", spare=True),
    Column("missing because", fold=True),
)


def cells_view(cells: Sequence[CellInMetric]) -> RenderableType:
    """Return cells one below the other."""
    parts: list[RenderableType] = []
    for cell in cells:
        parts += [Text()] * bool(parts)
        parts += _cell(cell)
    return Group(*parts)


def _cell(cell: CellInMetric) -> Iterator[RenderableType]:
    coordinates = cell.details.cell
    # A cell of a run of several models has the model in its name.
    model = "" if model_in(cell.details.label) else f"{coordinates.model} · "
    yield Text(clean(f"{coordinates.device} · {model}{cell.details.label}"), style="bold cyan")
    yield Text(clean(f"{cell.metric} of run {coordinates.run}"))
    yield _attempts(cell)
    yield from _last_words(cell)
    if cell.figures:
        yield Text()
        yield Text("every metric, median over trials", style="bold cyan")
        yield plain_table(_FIGURE_COLUMNS, map(_figure, cell.figures))
    yield Text()
    if cell.histogram is None:
        yield Text(clean(f"no distribution: {cell.unsampled}"), style="dim")
    else:
        yield _Bars(cell.histogram)
    if cell.commands:
        yield Text()
        yield Text("to measure the cell again, here or by a bundle on any controller:")
    yield from map(CommandLines, cell.commands)


def _last_words(cell: CellInMetric) -> Iterator[RenderableType]:
    """Yield the end of standard error of the newest attempt that failed with words there."""
    spoke = [value.attempt for value in cell.attempts if value.attempt.failure is not None and value.attempt.stderr]
    if spoke:
        lines = [clean(line) for line in (spoke[-1].stderr or "").splitlines() if line.strip()]
        yield Text()
        yield Text(f"standard error of attempt {spoke[-1].id}, the end", style="bold cyan")
        yield from (Text(line) for line in lines[-_WORDS_LINES_MAX:])


def _attempts(cell: CellInMetric) -> RenderableType:
    """Return the attempts. A column without any value is left out, so that the others have the room."""
    rows = [_attempt(one, cell) for one in cell.attempts]
    kept = [place for place in range(len(_COLUMNS)) if any(row[place] not in (None, ABSENT) for row in rows)]
    return plain_table([_COLUMNS[place] for place in kept], ([row[place] for place in kept] for row in rows))


def _attempt(found: AttemptValue, cell: CellInMetric) -> tuple[Text | str | None, ...]:
    one, summary, unit = found.attempt, found.summary, cell.unit
    name = f"{one.trial_index}" if one.kind == TrialKind.MEASURE.value else one.kind
    return (
        name if one.ordinal == 1 else f"{name}, again {one.ordinal - 1}",
        str(one.id),
        _outcome(one, cell.details.limits),
        numbers.quantity(found.value, unit),
        None if summary is None or summary.samples is None else str(summary.samples),
        numbers.quantity(None if summary is None else summary.p90, unit),
        numbers.quantity(None if summary is None else summary.p99, unit),
        _both(one, "temperature_c", 1),
        _both(one, "cpu_mhz", 0),
        _both(one, "load_1m", 2),
        _busiest(one),
        None if summary is None else summary.source,
    )


def _busiest(one: AttemptDetails) -> str | None:
    """Return the process that took most of a processor during an attempt, beside the attempt's own."""
    found = one.after.get("busiest_processes")
    first = found[0] if isinstance(found, list) and found else None
    percent = first.get("cpu_percent") if isinstance(first, dict) else None
    if not isinstance(first, dict) or isinstance(percent, bool) or not isinstance(percent, int | float):
        return None
    return clean(f"{first.get('name')} {percent:.0f} %")


def _figure(one: CellFigure) -> tuple[str | None, ...]:
    unit = one.metric.unit
    better = None if one.metric.direction is Direction.NONE else one.metric.direction.value
    return (
        one.metric.name,
        numbers.quantity(one.value, unit),
        numbers.quantity(one.lowest, unit),
        numbers.quantity(one.highest, unit),
        str(one.trials),
        better,
        one.reason,
    )


def _outcome(one: AttemptDetails, limits: Mapping[str, float]) -> Text:
    if one.invalid:
        words = ", ".join(breach_in_words(word, one.before, one.after, limits) for word in one.invalid)
        return Text(clean(f"invalid: {words}"), style="yellow")
    if one.failure is not None:
        return Text(clean(one.failure), style="red")
    if one.outcome is None:
        return Text("no end on record", style="yellow")
    return Text(one.outcome if one.counted else f"{clean(one.outcome)}, not counted")


def _both(one: AttemptDetails, name: str, decimals: int) -> str:
    """Return a condition before and after an attempt."""
    before, after = _number(one.before, name, decimals), _number(one.after, name, decimals)
    return before if before == after else f"{before}→{after}"


def _number(conditions: Mapping[str, Any], name: str, decimals: int) -> str:
    value = conditions.get(name)
    # Words of a device: anything may stand there.
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 1e9:
        return ABSENT
    return f"{value:.{decimals}f}"


class _Bars:
    """Render a histogram as wide as the console: a bar for each bin, and a small one for each trial."""

    def __init__(self, found: Histogram) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from (Text(line, no_wrap=True) for line in bars(self._found, options.max_width))


def bars(found: Histogram, width: int) -> list[str]:
    """Return the lines of a histogram, none wider than `width` characters from about 50 on."""
    unit = metric_named(found.metric).unit
    trials = "1 trial" if len(found.trials) == 1 else f"{len(found.trials)} trials"
    lines = textwrap.wrap(
        f"{found.count} samples of {found.metric} in {trials}. A bar counts the samples from the value on its left to "
        "the value below:",
        width,
    )
    lows = [numbers.quantity(one.low, unit) for one in found.bins]
    high = numbers.quantity(found.bins[-1].high, unit)
    margin, counts = max(map(len, (*lows, high))), [str(one.count) for one in found.bins]
    room = max(width - margin - max(map(len, counts)) - 4, 10)
    most = max(one.count for one in found.bins)
    for low, count, one in zip(lows, counts, found.bins, strict=True):
        lines.append(f"{low:>{margin}} ┤{_bar(one.count / most, room)} {count}")
    far = " (the last bar takes all that lie far off)" if _is_wider(found.bins) else ""
    lines += textwrap.wrap(f"{high:>{margin}} ┘ the largest sample{far}", width, subsequent_indent=" " * (margin + 3))
    quantiles = ", ".join(
        f"{name} {numbers.quantity(value, unit)}"
        for name, value in (("p50", found.p50), ("p90", found.p90), ("p99", found.p99))
        if value is not None
    )
    return [*lines, *filter(None, [quantiles]), *_trials(found, width)]


def _is_wider(bins: Sequence[Bin]) -> bool:
    """Return whether the last bin is wider than the others."""
    return len(bins) > 1 and bins[-1].high - bins[-1].low > 1.5 * (bins[0].high - bins[0].low)


def _trials(found: Histogram, width: int) -> Iterator[str]:
    """Yield the distribution of each trial. A single trial is the distribution of all."""
    if len(found.trials) == 1:
        return
    yield from textwrap.wrap(
        "Each trial alone, with the lowest values at the left: a column for each bar above, as high as the trial's "
        "share of samples there:",
        width,
    )
    names = [f"trial {number}" for number in found.trials]
    margin = max(map(len, names))
    for place, name in enumerate(names):
        own = [one.counts[place] for one in found.bins]
        yield f"{name:>{margin}} {''.join(_HEIGHTS[-(-8 * count // max(own))] for count in own)}"


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    if share > 0:
        eighths = max(eighths, 1)  # a single sample among a million is seen
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")
