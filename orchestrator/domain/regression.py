"""Move regressions from state to state, from the first suspicion of a night to the end.

Nights confirm, dismiss and find fixed. People acknowledge, accept and call invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError

if TYPE_CHECKING:  # the help of `regressions` names the states below, and waits for no sweeps
    from orchestrator.domain.series import Series


class RegressionState(StrEnum):
    """Name the states of a regression.

    detected -> confirmed | dismissed. confirmed -> acknowledged. confirmed or acknowledged -> accepted | fixed. Every
    open regression -> invalid. acknowledged -> confirmed, by a night with more than the acknowledged change.
    """

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    FIXED = "fixed"
    INVALID = "invalid"
    DISMISSED = "dismissed"


S = RegressionState
OPEN = frozenset({S.DETECTED, S.CONFIRMED, S.ACKNOWLEDGED})
"""A series has at most one open regression of a metric and direction in a nightly."""
STANDING = frozenset({S.CONFIRMED, S.ACKNOWLEDGED})
"""Confirmed, and not over yet."""


class Actor(StrEnum):
    """Name the mover of a regression."""

    NIGHT = "night"
    PERSON = "person"


class Direction(StrEnum):
    """Say where the value of the metric went."""

    ROSE = "rose"
    FELL = "fell"


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold the ratio of the candidate over the baseline, with the 95 % interval and the trials of each side."""

    ratio: float
    low: float | None = None
    high: float | None = None
    baseline_trials: int | None = None
    candidate_trials: int | None = None


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Hold a suspicion of a night. `figures` are None before the first figures, `baseline_run` for a history alone."""

    nightly: str
    night: str
    series: int
    metric: str
    direction: Direction
    candidate_run: str
    baseline_run: str | None = None
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class Regression:
    """Hold a regression on record. `figures` are the confirmation's figures after a confirmation."""

    id: int
    nightly: str
    series: Series
    metric: str
    direction: Direction
    state: RegressionState
    candidate_run: str
    first_night: str
    baseline_run: str | None = None
    figures: Figures | None = None
    confirmed_night: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Ask for a new state. Figures and runs, if given, replace those on record.

    A confirmed loss without figures keeps none.
    """

    to: RegressionState
    actor: Actor
    who: str
    reason: str | None = None
    night: str | None = None
    figures: Figures | None = None
    baseline_run: str | None = None
    candidate_run: str | None = None


@dataclass(frozen=True, slots=True)
class RegressionEvent:
    """Hold a step on record."""

    at: datetime
    state: RegressionState
    who: str
    reason: str | None
    night: str | None


_MOVES: Mapping[RegressionState, Mapping[RegressionState, Actor]] = {
    S.DETECTED: {S.CONFIRMED: Actor.NIGHT, S.DISMISSED: Actor.NIGHT, S.INVALID: Actor.PERSON},
    S.CONFIRMED: {
        S.ACKNOWLEDGED: Actor.PERSON,
        S.ACCEPTED: Actor.PERSON,
        S.FIXED: Actor.NIGHT,
        S.INVALID: Actor.PERSON,
    },
    S.ACKNOWLEDGED: {
        S.CONFIRMED: Actor.NIGHT,
        S.ACCEPTED: Actor.PERSON,
        S.FIXED: Actor.NIGHT,
        S.INVALID: Actor.PERSON,
    },
}


def moves(state: RegressionState, actor: Actor) -> frozenset[RegressionState]:
    """Return the states open to an actor from a state."""
    return frozenset(to for to, by in _MOVES.get(state, {}).items() if by is actor)


def moved(regression: Regression, move: Move) -> Regression:
    """Return the regression in its new state. The present state again is no change: a move can be repeated.

    Raise ConfigError for a move not allowed from the state or to the actor.
    """
    if move.to is regression.state:
        return regression
    possible = moves(regression.state, move.actor)
    if move.to not in possible:
        raise ConfigError(
            f"regression {regression.id} is {regression.state}: a {move.actor} cannot make it {move.to}",
            f"possible: {', '.join(sorted(possible))}" if possible else "it has ended; a night opens another one",
        )
    return replace(
        regression,
        state=move.to,
        # A confirmation without figures is of a cell without a value: the ratio of a suspicion says nothing of that.
        figures=move.figures if move.to is S.CONFIRMED else move.figures or regression.figures,
        baseline_run=move.baseline_run or regression.baseline_run,
        candidate_run=move.candidate_run or regression.candidate_run,
        # The first one stays: a regression confirmed anew, after it was acknowledged, has stood since then.
        confirmed_night=regression.confirmed_night or (move.night if move.to is S.CONFIRMED else None),
    )
