"""Draw operator profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.operator_profile import CellProfile, KindTime, OperatorTime, ProfilePair
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import clean

_CAUTION = (
    "profiled times are for comparing operators with each other; latency is measured by trials without a profiler"
)
_COLUMNS = (
    Column("operator"),
    Column("name", fold=True),
    Column("on"),
    Column("calls", right=True, spare=1),
    Column("mean", right=True, spare=2),
    Column("per inference", right=True),
    Column("share", right=True),
)
_PAIR_COLUMNS = (
    Column("operator", fold=True),
    Column("base n", right=True, spare=1),
    Column("base", right=True),
    Column("share", right=True, spare=2),
    Column("other n", right=True, spare=1),
    Column("other", right=True),
    Column("share", right=True, spare=2),
    Column("ratio", right=True),
)


def profiles_view(profiles: Sequence[CellProfile], limit: int) -> RenderableType:
    """Return profiles one below the other, with the first `limit` operators of each."""
    parts: list[RenderableType] = []
    for profile in profiles:
        parts += [Text()] * bool(parts)
        parts += _profile(profile, limit)
    return Group(*parts)


def pair_view(pair: ProfilePair) -> RenderableType:
    """Return two profiles side by side, a line for each kind of operator."""
    rows = [
        (one.operator, *_kind(one.base), *_kind(one.other), numbers.factor(one.ratio) if one.ratio else None)
        for one in pair.kinds
    ]
    parts: list[RenderableType] = [
        Text(clean(f"base:  {_title(pair.base)}"), style="bold cyan"),
        Text(clean(f"other: {_title(pair.other)}"), style="bold cyan"),
        plain_table(_PAIR_COLUMNS, rows),
        Text(_CAUTION, style="dim"),
    ]
    return Group(*parts)


def _profile(profile: CellProfile, limit: int) -> Iterator[RenderableType]:
    yield Text(clean(_title(profile)), style="bold cyan")
    if profile.reason is not None:
        yield Text(clean(f"no profile: {profile.reason}"), style="yellow")
        return
    yield plain_table(_COLUMNS, map(_row, profile.operators[:limit]))
    left = profile.operators[limit:]
    if left:
        share = numbers.percent(sum(one.share for one in left))
        yield Text(f"and {len(left)} more with {share} of the time: --limit {len(profile.operators)}")
    placed = ", ".join(f"{count} on {place}" for place, count in profile.placed.items())
    if placed:
        yield Text(clean(f"operators: {placed}"))
    yield Text(_CAUTION, style="dim")


def _title(profile: CellProfile) -> str:
    words = f"{profile.device} · {profile.cell}"
    if profile.total_ns is None:
        return words
    return f"{words}: {numbers.nanoseconds(profile.total_ns)} an inference in operators, over {profile.runs} inferences"


def _row(one: OperatorTime) -> tuple[str | None, ...]:
    return (
        one.operator,
        one.name,
        one.placed_on,
        str(one.calls),
        numbers.nanoseconds(one.mean_ns),
        numbers.nanoseconds(one.inference_ns),
        numbers.percent(one.share),
    )


def _kind(found: KindTime | None) -> tuple[str | None, ...]:
    if found is None:
        return None, None, None
    return str(found.operators), numbers.nanoseconds(found.inference_ns), numbers.percent(found.share)
