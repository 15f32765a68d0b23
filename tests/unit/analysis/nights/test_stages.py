"""What a night orders, and what a night concludes, for any device and any cut."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.nightly import LOOKS
from orchestrator.analysis.nights.stages import CONFIRMATION_UNITS, advance, looked_at
from orchestrator.analysis.nights.subjects import Key, OpenRegression, Order, Subject, Terms, Tonight
from orchestrator.domain.night import REGRESSED, Basis, NightStage, NightVerdict
from tests.effort import examples
from tests.unit.analysis.nights.played_nights import HISTORIES, TRIALS, Board, a_subject, play, with_identical_bytes

FIVE_PERCENT = math.log(1.05)


def one_night(subject: Subject, shift: float, device: float = 0.0, seed: int = 1) -> NightVerdict:
    board = Board(np.random.default_rng(seed), {subject.key: shift}, {subject.key: device})
    _, findings = play([subject], board)
    return findings[subject.key].verdict


@pytest.mark.parametrize("nights", [1, 3, 8, 30])
def test_a_slower_build_is_confirmed_with_long_and_short_histories(nights: int) -> None:
    subject = a_subject(np.random.default_rng(3), nights=nights)
    board = Board(np.random.default_rng(4), {subject.key: FIVE_PERCENT})

    orders, findings = play([subject], board)

    found = findings[subject.key]
    assert found.verdict is NightVerdict.CONFIRMED
    assert found.estimate is not None
    assert found.estimate.basis is Basis.RERUN
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < 1.05 < found.estimate.high
    assert orders[-1].stage is NightStage.CONFIRMATION
    assert found.baseline_trials == found.candidate_trials == LOOKS[orders[-1].look]
    assert found.estimate.before is not None
    assert found.estimate.after is not None
    # Both were measured beside each other, whatever the first look has seen.
    assert found.estimate.after / found.estimate.before == pytest.approx(found.estimate.ratio)


def test_a_faster_build_begins_a_new_segment_and_fails_nothing() -> None:
    subject = a_subject(np.random.default_rng(3))

    _, findings = play([subject], Board(np.random.default_rng(4), {subject.key: -FIVE_PERCENT}))

    assert findings[subject.key].verdict is NightVerdict.IMPROVED
    assert findings[subject.key].new_segment


def test_a_device_that_is_slower_tonight_is_not_a_slower_build() -> None:
    assert one_night(a_subject(np.random.default_rng(3)), shift=0.0, device=0.1) is NightVerdict.CLEAN


def test_another_environment_explains_what_the_rerun_does_not_show() -> None:
    subject = a_subject(np.random.default_rng(3), environment="kernel 6.1.21 -> 6.6.31")

    _, findings = play([subject], Board(np.random.default_rng(4), device={subject.key: 0.1}))

    assert findings[subject.key].verdict is NightVerdict.ENVIRONMENT_CHANGED
    assert "kernel 6.1.21 -> 6.6.31" in findings[subject.key].reason
    assert findings[subject.key].new_segment


@pytest.mark.parametrize("environment", [None, "kernel 6.1.21 -> 6.6.31"])
@pytest.mark.parametrize("nights", [3, 30])
def test_identical_bytes_never_regress_by_the_build(environment: str | None, nights: int) -> None:
    subject = with_identical_bytes(a_subject(np.random.default_rng(3), nights=nights), environment)

    orders, findings = play([subject], Board(np.random.default_rng(4), device={subject.key: 0.3}))

    expected = NightVerdict.SUSPECTED if environment is None else NightVerdict.ENVIRONMENT_CHANGED
    assert findings[subject.key].verdict is expected
    assert all(order.stage is not NightStage.CONFIRMATION for order in orders)


def test_the_drift_of_the_canaries_is_taken_from_the_cells() -> None:
    subject = a_subject(np.random.default_rng(3))
    board = Board(np.random.default_rng(4), device={subject.key: 0.1})
    first = {subject.key: board.candidate(subject.key, TRIALS)}
    drift = {(subject.key.device, subject.key.metric): 0.1}

    plain, drifted = Tonight(first), Tonight(first, drift)
    assert isinstance(advance(looked_at([subject], plain), plain, Terms()), Order)
    assert not isinstance(advance(looked_at([subject], drifted), drifted, Terms()), Order)


def test_a_quarantined_series_is_shown_and_orders_nothing() -> None:
    subject = a_subject(np.random.default_rng(3), quarantine="too noisy")

    orders, findings = play([subject], Board(np.random.default_rng(4), {subject.key: 0.5}))

    assert not orders
    assert findings[subject.key].verdict is NightVerdict.QUARANTINED
    assert findings[subject.key].value is not None


OPEN = OpenRegression(7, FIVE_PERCENT, "digits-20261120", known=False, verdict=NightVerdict.CONFIRMED)


def test_a_fix_is_noticed_by_the_rerun() -> None:
    subject = a_subject(np.random.default_rng(3), opened=OPEN)

    assert one_night(subject, shift=0.0) is NightVerdict.FIXED
    assert one_night(with_identical_bytes(subject), shift=0.0) is NightVerdict.FIXED


def test_a_regression_that_stands_costs_no_second_confirmation() -> None:
    subject = a_subject(np.random.default_rng(3), opened=OPEN)

    orders, findings = play([subject], Board(np.random.default_rng(4), {subject.key: FIVE_PERCENT}))

    assert not orders
    assert findings[subject.key].verdict is NightVerdict.CONFIRMED


KNOWN = replace(OPEN, known=True)


@pytest.mark.parametrize(("shift", "reopens"), [(0.05, False), (0.06, False), (0.12, True), (0.4, True)])
def test_an_acknowledged_regression_covers_no_worse_one(shift: float, reopens: bool) -> None:
    subject = a_subject(np.random.default_rng(3), opened=KNOWN)

    orders, findings = play([subject], Board(np.random.default_rng(4), {subject.key: shift}))

    found = findings[subject.key]
    assert (found.verdict, found.reopens) == (NightVerdict.CONFIRMED, reopens)
    assert bool(orders) >= reopens, "only a rerun confirms"
    assert found.change == pytest.approx(shift if reopens else FIVE_PERCENT, abs=0.02)


def test_a_device_that_is_slower_tonight_adds_nothing_to_an_acknowledged_regression() -> None:
    subject = a_subject(np.random.default_rng(3), opened=KNOWN)

    _, findings = play([subject], Board(np.random.default_rng(4), {subject.key: 0.05}, {subject.key: 0.1}))

    assert not findings[subject.key].reopens


def test_a_device_that_is_lost_in_a_look_leaves_its_cells_undecided() -> None:
    subject = a_subject(np.random.default_rng(3))
    board = Board(np.random.default_rng(4), {subject.key: FIVE_PERCENT}, silent=lambda order, key: order is not None)

    _, findings = play([subject], board)

    assert findings[subject.key].verdict is NightVerdict.SUSPECTED
    assert findings[subject.key].undecided


def of_memory(subject: Subject) -> Subject:
    """Return a second metric of the same cell, whose baseline is an older night."""
    assert subject.baseline is not None
    older = replace(subject.baseline, run="20261120-020000-1a2b", night="digits-20261120")
    return replace(subject, key=subject.key._replace(metric="rss_bytes_max"), baseline=older)


def test_the_rerun_has_the_baseline_of_the_metric_that_is_suspected() -> None:
    latency = a_subject(np.random.default_rng(3))
    memory = of_memory(latency)

    orders, findings = play([latency, memory], Board(np.random.default_rng(4), {memory.key: FIVE_PERCENT}))

    assert orders[-1].metrics == {memory.key.cell: memory.key.metric}
    assert findings[memory.key].verdict is NightVerdict.CONFIRMED
    assert findings[latency.key].verdict is NightVerdict.CLEAN


def test_no_metric_is_judged_beside_the_baseline_of_another_one() -> None:
    latency = a_subject(np.random.default_rng(3))
    memory = of_memory(latency)

    _, findings = play([latency, memory], Board(np.random.default_rng(4), {latency.key: 0.05, memory.key: 0.2}))

    assert findings[memory.key].verdict is NightVerdict.CONFIRMED
    assert findings[latency.key].verdict is NightVerdict.SUSPECTED
    assert findings[latency.key].undecided


def test_two_nights_of_one_build_are_one_baseline() -> None:
    latency = a_subject(np.random.default_rng(3))
    both = [
        replace(one, baseline=replace(one.baseline, content="abc"))
        for one in (latency, of_memory(latency))
        if one.baseline is not None
    ]

    _, findings = play(both, Board(np.random.default_rng(4), {both[0].key: 0.05, both[1].key: 0.2}))

    assert {found.verdict for found in findings.values()} == {NightVerdict.CONFIRMED}


@pytest.mark.parametrize("has_baseline", [True, False])
def test_a_suspect_whose_baseline_cannot_be_rerun_leaves_the_night_incomplete(has_baseline: bool) -> None:
    subject = a_subject(np.random.default_rng(3))
    assert subject.baseline is not None
    gone = replace(subject.baseline, obstacle="digits.tflite is no longer in the controller's cache")
    subject = replace(subject, baseline=gone if has_baseline else None)

    _, findings = play([subject], Board(np.random.default_rng(4), {subject.key: 0.5}))

    assert findings[subject.key].verdict is NightVerdict.SUSPECTED
    assert findings[subject.key].undecided


def test_extra_time_is_bounded_and_the_rest_is_undecided() -> None:
    random = np.random.default_rng(3)
    subjects = [a_subject(random, number) for number in range(40)]
    shift = {one.key: 0.012 for one in subjects}

    orders, findings = play(subjects, Board(random, shift), Terms(extra_most=0.5))

    units = sum(
        len(order.cells) * (order.trials / TRIALS) * (1 if order.stage is NightStage.SECOND_LOOK else 2)
        for order in orders
    )
    assert units <= 40 + 0.5 * 40  # the second look, which an ordinary night does not reach, and the bound
    assert any(found.undecided for found in findings.values())


@pytest.mark.system  # a simulation: long for its processor time alone
def test_nights_of_one_build_confirm_nothing() -> None:
    random = np.random.default_rng(11)
    for _ in range(20):
        subjects = [a_subject(random, number, nights=nights) for number, nights in enumerate(HISTORIES * 10)]
        _, findings = play(subjects, Board(random))
        assert not [found for found in findings.values() if found.verdict in REGRESSED]


@pytest.mark.long
@settings(deadline=None, max_examples=examples(60))
@given(
    seed=st.integers(0, 2**32 - 1),
    nights=st.lists(st.sampled_from(HISTORIES), min_size=1, max_size=6),
    shifts=st.lists(st.sampled_from([0.0, 0.02, -0.05, 0.3]), min_size=6, max_size=6),
    flags=st.lists(st.sampled_from(["", "identical", "opened", "quarantine", "no-baseline", "gone"]), min_size=6),
    lost=st.sampled_from(["none", "second", "look-1", "all"]),
    most=st.sampled_from([5, 10, 20, 30]),
)
def test_every_night_ends_and_names_each_measured_cell_once(
    seed: int, nights: list[int], shifts: list[float], flags: list[str], lost: str, most: int
) -> None:
    random = np.random.default_rng(seed)
    subjects = [_varied(a_subject(random, number, nights=count), flags[number]) for number, count in enumerate(nights)]
    shift = {one.key: change for one, change in zip(subjects, shifts, strict=False)}
    board = Board(random, shift, silent=lambda order, key: _is_lost(lost, order, key))

    orders, findings = play(subjects, board, Terms(trials_most=most))

    assert set(findings) == {one.key for one in subjects if not _is_lost(lost, None, one.key)}
    assert len({(order.stage, order.look) for order in orders}) == len(orders)
    reruns = [order for order in orders if order.stage is NightStage.CONFIRMATION]
    assert sum(order.trials for order in reruns) <= most
    for one in subjects:
        found = findings.get(one.key)
        if found is not None and found.verdict is NightVerdict.CONFIRMED and one.opened is None:
            assert one.baseline is not None
            assert not one.baseline.identical
            assert any(one.key.cell in order.cells for order in reruns)
        if one.baseline is None or one.baseline.identical or one.baseline.obstacle:
            assert all(one.key.cell not in order.cells for order in reruns)
        if found is not None:
            assert found.spent <= 1 + CONFIRMATION_UNITS


def _varied(subject: Subject, flag: str) -> Subject:
    assert subject.baseline is not None
    varied = {
        "identical": with_identical_bytes(subject),
        "opened": replace(subject, opened=OPEN),
        "quarantine": replace(subject, quarantine="too noisy"),
        "no-baseline": replace(subject, baseline=None),
        "gone": replace(subject, baseline=replace(subject.baseline, obstacle="its bytes are gone")),
    }
    return varied.get(flag, subject)


def _is_lost(lost: str, order: Order | None, key: Key) -> bool:
    if lost == "all":
        return key.slot == "cell-0"
    if order is None:
        return False
    wanted = {"second": NightStage.SECOND_LOOK, "look-1": NightStage.CONFIRMATION}.get(lost)
    return order.stage is wanted and order.look in (0, 1)
