"""List regressions, and take the decisions of people about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.regression import STANDING, Actor, Move, Regression, RegressionState
from orchestrator.domain.regression_details import RegressionDetails
from orchestrator.services.history.reasons import stated

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring, HasRecords
    from orchestrator.store.base import Roles


@dataclass(frozen=True, slots=True)
class Decision:
    """Ask for a person's decision about a regression: acknowledged, accepted or invalid.

    `who` decides. None stands for the user of this process.
    """

    regression: int
    to: RegressionState
    reason: str
    who: str | None = None


def list_regressions(nightly: str | None, wiring: HasRecords, *, ended: bool = False) -> Sequence[Regression]:
    """Return the standing regressions of a nightly, the newest first. None stands for all nightlies.

    `ended`: return ended and merely suspected regressions, too.
    """
    return wiring.store.regressions.regressions(nightly, None if ended else STANDING)


def show_regression(regression: int, wiring: HasRecords) -> RegressionDetails:
    """Return a regression with its life, and the notes of that time. Raise ConfigError for an unknown id."""
    return _details(require_regression(regression, wiring.store), wiring.store)


def decide(decision: Decision, wiring: FleetWiring) -> RegressionDetails:
    """Record a decision, and return the regression in its new state.

    Accepting makes the candidate's run the baseline of the series. Raise ConfigError for an unknown id, an empty
    reason, or an impossible state of the regression.
    """
    move = Move(decision.to, Actor.PERSON, decision.who or wiring.identity().holder, stated(decision.reason))
    return _details(wiring.store.regressions.move(decision.regression, move), wiring.store)


def require_regression(regression: int, store: Roles) -> Regression:
    """Return a regression by id. Raise ConfigError for an unknown id."""
    found = store.regressions.find_regression(regression)
    if found is None:
        raise ConfigError(
            f"there is no regression {regression}",
            "benchfleet regressions list --all shows what there is; is it the right --db?",
        )
    return found


def _details(regression: Regression, store: Roles) -> RegressionDetails:
    events = tuple(store.regressions.events(regression.id))
    night = store.nights.find_night(regression.first_night)
    began = (night.began_at if night else events[0].at).astimezone(UTC).date()
    over = regression.state not in STANDING and regression.state is not RegressionState.DETECTED
    until = (events[-1].at if over else datetime.now(UTC)).astimezone(UTC).date()
    noted = tuple(one for one in store.annotations.annotations(began, until) if one.touches(regression.series))
    return RegressionDetails(regression, events, noted)
