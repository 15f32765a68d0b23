"""Draw cells of a run: attempts with conditions, and a histogram of the raw samples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from orchestrator.domain.cell_details import AttemptDetails
from orchestrator.domain.cell_distribution import AttemptValue, CellInMetric, Histogram
from orchestrator.domain.metric import Unit, metric_named
from orchestrator.domain.plan.values import TrialKind
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import ABSENT, clean

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_COLUMNS = (
    Column("trial"),
    Column("id", right=True),
    Column("outcome", fold=True),
    Column("value", right=True),
    Column("n", right=True),
    Column("p90", right=True),
    Column("p99", right=True),
    Column("°C", right=True),
    Column("MHz", right=True),
    Column("load", right=True, spare=True),
    Column("source", spare=True),
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
    yield Text(clean(f"{coordinates.device} · {coordinates.model} · {cell.details.label}"), style="bold cyan")
    yield Text(clean(f"{cell.metric} of run {coordinates.run}"))
    yield plain_table(_COLUMNS, (_attempt(one, cell.unit) for one in cell.attempts))
    yield Text()
    if cell.histogram is None:
        yield Text(clean(f"no distribution: {cell.unsampled}"), style="dim")
    else:
        yield _Bars(cell.histogram)
    if cell.commands:
        yield Text()
        yield Text("to measure the cell again, here or by a bundle on any controller:")
    yield from map(_Command, cell.commands)


def _attempt(found: AttemptValue, unit: Unit) -> tuple[Text | str | None, ...]:
    one, summary = found.attempt, found.summary
    name = "preflight" if one.kind == TrialKind.PREFLIGHT.value else f"{one.trial_index}"
    return (
        name if one.ordinal == 1 else f"{name}, again {one.ordinal - 1}",
        str(one.id),
        _outcome(one),
        numbers.quantity(found.value, unit),
        None if summary is None or summary.samples is None else str(summary.samples),
        numbers.quantity(None if summary is None else summary.p90, unit),
        numbers.quantity(None if summary is None else summary.p99, unit),
        _both(one, "temperature_c", 1),
        _both(one, "cpu_mhz", 0),
        _both(one, "load_1m", 2),
        None if summary is None else summary.source,
    )


def _outcome(one: AttemptDetails) -> Text:
    if one.invalid:
        return Text(clean(f"invalid: {', '.join(one.invalid)}"), style="yellow")
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


class _Command:
    """Render a command that can be copied: what is too long for the console goes on behind a backslash."""

    def __init__(self, command: str) -> None:
        self._words = [shlex.quote(clean(word)) for word in shlex.split(command)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = "  "
        for word in self._words:
            if len(line) + len(word) + 3 > options.max_width and line.strip():
                yield Text(f"{line} \\", no_wrap=True)
                line = "     "
            line += f" {word}" if line.strip() else word
        yield Text(line)


class _Bars:
    """Render a histogram as wide as the console: a bar for each bin, and a small one for each trial."""

    def __init__(self, found: Histogram) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from (Text(line, no_wrap=True) for line in bars(self._found, options.max_width))


def bars(found: Histogram, width: int) -> list[str]:
    """Return the lines of a histogram, none wider than `width` characters from about 50 on."""
    unit = metric_named(found.metric).unit
    lows = [numbers.quantity(one.low, unit) for one in found.bins]
    margin, counts = max(map(len, lows)), [str(one.count) for one in found.bins]
    room = max(width - margin - max(map(len, counts)) - 4, 10)
    most = max(one.count for one in found.bins)
    lines = [f"{found.count} samples of {found.metric} in {len(found.trials)} trials, from … on"]
    for low, count, one in zip(lows, counts, found.bins, strict=True):
        lines.append(f"{low:>{margin}} ┤{_bar(one.count / most, room)} {count}")
    high = numbers.quantity(found.bins[-1].high, unit)
    quantiles = ", ".join(
        f"{name} {numbers.quantity(value, unit)}"
        for name, value in (("p50", found.p50), ("p90", found.p90), ("p99", found.p99))
        if value is not None
    )
    lines.append(f"{high:>{margin}} ┘ {quantiles}")
    names = [f"trial {number}" for number in found.trials]
    margin = max(margin, max(map(len, names)))
    for place, name in enumerate(names):
        own = [one.counts[place] for one in found.bins]
        lines.append(f"{name:>{margin}} {''.join(_HEIGHTS[-(-8 * count // max(own))] for count in own)}")
    return lines


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    if share > 0:
        eighths = max(eighths, 1)  # a single sample among a million is seen
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")
