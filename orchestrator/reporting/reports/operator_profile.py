"""Declare operator profiles of cells, alone and side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.operator_profile import CellProfile, KindPair, KindTime, OperatorTime, ProfilePair
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, Key, ListOf, MapOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

_SINGLE: tuple[Key[OperatorTime], ...] = (
    Key("position", INTEGER, "1, 2, 3 …, the largest share first.", lambda one: one.position),
    Key("operator", TEXT, "The kind of operator.", lambda one: one.operator),
    Key("name", TEXT, "The operator's name in the model.", lambda one: one.name),
    Key("placed_on", OrNull(TEXT), "The provider or delegate; null where nobody says.", lambda one: one.placed_on),
    Key("calls", INTEGER, "Number of calls in all profiled inferences.", lambda one: one.calls),
    Key("mean_ns", NUMBER, "Mean time of a call, without operators inside.", lambda one: one.mean_ns),
    Key("inference_ns", NUMBER, "Time in one inference.", lambda one: one.inference_ns),
    Key("share", NUMBER, "The share of the time of all operators.", lambda one: one.share),
)
OPERATOR = View[OperatorTime]("operator-time", "An operator of a profiled model.", _SINGLE)
PROFILE = View[CellProfile](
    "cell-profile",
    "The operators of a cell, from a trial that is never timed.",
    (
        Key("run", TEXT, "The run.", lambda one: one.run),
        Key("device", TEXT, "The device's name.", lambda one: one.device),
        Key("cell", TEXT, "The cell in words.", lambda one: one.cell),
        Key("runs", OrNull(INTEGER), "Number of profiled inferences.", lambda one: one.runs),
        Key("total_ns", OrNull(NUMBER), "Time of all operators in one inference.", lambda one: one.total_ns),
        Key("placed", MapOf(INTEGER, "place"), "How many operators ran where, as told.", lambda one: one.placed),
        Key("operators", ListOf(OPERATOR), "The operators, the largest share first.", lambda one: one.operators),
        Key("reason", OrNull(TEXT), "Why there is no profile.", lambda one: one.reason),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    profile: CellProfile
    one: OperatorTime


_LINE = View[_Line](
    "cell-profile-line",
    "An operator of a cell.",
    (
        Key("run", TEXT, "The run.", lambda line: line.profile.run),
        Key("device", TEXT, "The device's name.", lambda line: line.profile.device),
        Key("cell", TEXT, "The cell in words.", lambda line: line.profile.cell),
        *(
            Key(key.name, key.kind, key.meaning, lambda line, read=key.read: read(line.one))  # type: ignore[misc]
            for key in _SINGLE
        ),
    ),
)


def _lines(profiles: Sequence[CellProfile]) -> Iterator[_Line]:
    return (_Line(profile, one) for profile in profiles for one in profile.operators)


PROFILES = Shape[Sequence[CellProfile]](ListOf(PROFILE), _LINE, _lines)

KIND_TIME = View[KindTime](
    "operator-kind-time",
    "The operators of one kind in a cell.",
    (
        Key("operators", INTEGER, "How many there are.", lambda one: one.operators),
        Key("inference_ns", NUMBER, "Their time in one inference.", lambda one: one.inference_ns),
        Key("share", NUMBER, "Their share of the time of all operators.", lambda one: one.share),
    ),
)
KIND_PAIR = View[KindPair](
    "operator-kind-pair",
    "One kind of operator in two cells.",
    (
        Key("operator", TEXT, "The kind of operator.", lambda pair: pair.operator),
        Key("base", OrNull(KIND_TIME), "In the base; null without any.", lambda pair: pair.base),
        Key("other", OrNull(KIND_TIME), "In the other cell; null without any.", lambda pair: pair.other),
        Key("ratio", OrNull(NUMBER), "The other's time over the base's.", lambda pair: pair.ratio),
    ),
)


def _reader(side: str, key: Key[KindTime]) -> Callable[[KindPair], object]:
    def read(pair: KindPair) -> object:
        found = getattr(pair, side)
        return None if found is None else key.read(found)

    return read


_KIND_LINE = View[KindPair](
    "operator-kind-line",
    "One kind of operator in two cells.",
    (
        Key("operator", TEXT, "The kind of operator.", lambda pair: pair.operator),
        *(
            Key(f"{side}_{key.name}", OrNull(key.kind), key.meaning, _reader(side, key))
            for side in ("base", "other")
            for key in KIND_TIME.keys
        ),
        Key("ratio", OrNull(NUMBER), "The other's time over the base's.", lambda pair: pair.ratio),
    ),
)
PAIR = View[ProfilePair](
    "profile-pair",
    "The operators of two cells, kind by kind.",
    (
        Key("base", PROFILE, "The cell of --against.", lambda pair: pair.base),
        Key("other", PROFILE, "The cell of --cell.", lambda pair: pair.other),
        Key("kinds", ListOf(KIND_PAIR), "The kinds, the most time first.", lambda pair: pair.kinds),
    ),
)
PROFILE_PAIR = Shape[ProfilePair](PAIR, _KIND_LINE, lambda pair: pair.kinds)


def profiles_report(profiles: Sequence[CellProfile], limit: int) -> Report:
    """Return profiles as a report. The drawing has the first `limit` operators of each."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.operator_profile import profiles_view

        return profiles_view(profiles, limit)

    return Report(profiles, PROFILES, draw)


def profile_pair_report(pair: ProfilePair) -> Report:
    """Return two profiles side by side as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.operator_profile import pair_view

        return pair_view(pair)

    return Report(pair, PROFILE_PAIR, draw)
