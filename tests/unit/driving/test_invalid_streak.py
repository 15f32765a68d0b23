"""A device on which no trial counts is told of once, with the reason and the remedy."""

from __future__ import annotations

from orchestrator.domain.run import TrialChange, TrialState
from orchestrator.driving.invalid_streak import LONGEST, InvalidStreaks


def change(number: int, state: TrialState = TrialState.INVALID, device: str = "pi-03") -> TrialChange:
    return TrialChange(device, f"j.{number}", "int8", state, "measure", failure="other-load, too-hot")


def test_the_reason_and_the_remedy_are_told_once() -> None:
    streaks = InvalidStreaks()
    told = [concern for number in range(3 * LONGEST) if (concern := streaks.hear(change(number)))]

    (concern,) = told
    assert concern.message == f"{LONGEST} trials in a row do not count: other-load ({LONGEST}), too-hot ({LONGEST})"
    assert concern.hint is not None
    assert "benchfleet devices probe pi-03" in concern.hint
    assert "other_load_max_percent: null" in concern.hint


def test_a_trial_that_counts_begins_the_count_anew_and_each_device_has_its_own() -> None:
    streaks = InvalidStreaks()
    for number in range(LONGEST - 1):
        assert streaks.hear(change(number)) is None
        assert streaks.hear(change(number, device="pi-04")) is None
    assert streaks.hear(change(98, TrialState.MEASURED)) is None
    assert streaks.hear(change(99)) is None
    assert streaks.hear(change(99, device="pi-04")) is not None
