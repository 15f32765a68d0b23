"""A night that was disturbed says by what, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.night import NightVerdict
from orchestrator.services.nights.absent import DISTURBED
from orchestrator.services.nights.disturbance import disturbances
from tests.unit.reporting import nights


class Accounts:
    def condition_uses(self, run: str) -> Sequence[ConditionUse]:
        """Return the same for each of the night's three runs."""
        return (
            ConditionUse("pi-03", 3, {"cpu-pressure": 3, "too-hot": 1}),
            ConditionUse("pi-04", 9, {"cpu-pressure": 9}),
            ConditionUse("coral-01", 2, {"too-hot": 2}),
        )


def test_each_disturbed_device_has_its_conditions_and_a_remedy() -> None:
    cells = (
        *(nights.cell(NightVerdict.INCONCLUSIVE, variant, "pi-03", reason=DISTURBED) for variant in ("a", "b")),
        nights.cell(NightVerdict.QUARANTINED, "a", "coral-01", reason=f"too noisy; tonight: {DISTURBED}"),
        nights.clean("a", "pi-04"),
    )
    report = dataclasses.replace(nights.REPORT, cells=cells)
    assert list(disturbances(report, Accounts())) == [
        "pi-03: attempts that broke a condition: 9 cpu-pressure, 3 too-hot; end other work on pi-03, then run --again",
        "coral-01: attempts that broke a condition: 6 too-hot; look after coral-01, then run --again",
    ]


def test_a_night_without_a_disturbed_cell_has_no_such_note() -> None:
    assert list(disturbances(nights.QUIET, Accounts())) == []
