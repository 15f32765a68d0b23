from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.nights import Fleet, Nights, World
from orchestrator.analysis import nightly
from tests.effort import examples

CV = 0.01


def history(cells: int = 1, nights: int = 30, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, CV / math.sqrt(5), (cells, nights))


def expected(values: np.ndarray) -> nightly.Expectation:
    return nightly.expect(values, np.full(len(values), CV / math.sqrt(5)))


def looked(tonight: float, values: np.ndarray, threshold: float = 2.0) -> int:
    cells = len(values)
    return int(nightly.first_look(expected(values), values, np.full(cells, tonight), np.full(cells, threshold))[0])


def test_a_step_is_suspected_on_its_side_and_a_usual_night_is_not() -> None:
    assert looked(0.05, history()) == 1
    assert looked(-0.05, history()) == -1
    assert looked(0.001, history()) == 0


def test_a_small_step_is_suspected_once_it_has_lasted_three_nights() -> None:
    values = history()
    assert looked(0.007, values) == 0
    values[:, -2:] = 0.008
    assert looked(0.007, values) == 1


def test_a_cell_with_a_short_history_is_not_judged() -> None:
    assert looked(0.5, history(nights=nightly.NIGHTS_MIN - 1)) == 0
    assert looked(0.5, np.full((1, 30), np.nan)) == 0
    assert looked(0.5, np.empty((1, 0))) == 0


@pytest.mark.parametrize("missing", [[-1], [-2], [-2, -1]])
def test_a_step_is_suspected_also_after_nights_without_a_value(missing: list[int]) -> None:
    values = history()
    values[:, missing] = np.nan

    assert looked(0.05, values) == 1
    assert looked(-0.05, values) == -1
    assert looked(0.001, values) == 0


def test_nights_before_the_window_are_forgotten() -> None:
    values = np.concatenate([np.full((1, 50), 3.0), history()], axis=1)

    assert looked(0.0, values) == 0


def test_a_drifting_cell_is_expected_to_go_on_from_last_night() -> None:
    drifting = 0.02 * np.sin(np.arange(30.0) / 4 + 0.6)[None]
    found = expected(drifting)

    assert found.drift[0] > nightly.DRIFT_MOST
    assert found.value[0] > found.median[0]
    assert not nightly.second_look_due(found, np.array([1]))[0]
    assert nightly.second_look_due(expected(history()), np.array([1]))[0]


def test_the_second_look_must_lie_on_the_suspected_side() -> None:
    found = expected(history())
    level = found.value, found.scale

    assert nightly.stands(*level, np.array([0.05]), np.array([1]))[0]
    assert not nightly.stands(*level, np.array([0.05]), np.array([-1]))[0]
    assert not nightly.stands(*level, np.array([0.0]), np.array([1]))[0]


@pytest.mark.parametrize(
    ("change", "side", "confirmed", "given_up"),
    [(0.1, 1, True, False), (0.1, -1, False, True), (-0.1, -1, True, False), (0.0, 1, False, True)],
)
def test_a_confirmation_wants_the_suspected_side(change: float, side: int, confirmed: bool, given_up: bool) -> None:
    random = np.random.default_rng(6)
    rows = (random.normal(0, CV, (1, 5)), random.normal(change, CV, (1, 5)))
    found = nightly.confirm(rows, np.array([CV**2]), np.array([side]), 0, np.array([0.01]))

    assert (found.confirmed[0], found.given_up[0]) == (confirmed, given_up)
    assert found.estimate[0] == pytest.approx(change, abs=0.02)


def test_less_than_the_minimum_effect_is_never_confirmed_and_the_last_look_is_the_last() -> None:
    random = np.random.default_rng(6)
    rows = (random.normal(0.0, 0.001, (1, 30)), random.normal(0.008, 0.001, (1, 30)))
    found = nightly.confirm(rows, np.array([1e-6]), np.array([1]), len(nightly.LOOKS) - 1, np.array([0.01]))

    assert (found.confirmed[0], found.given_up[0]) == (False, True)


def test_a_cell_that_spends_time_gets_a_higher_threshold_and_one_that_spends_none_a_lower_one() -> None:
    threshold = np.array([2.0, 2.0, nightly.THRESHOLD_MOST, nightly.THRESHOLD_LEAST])
    adapted = nightly.adapt(threshold, np.array([3.0, 0.0, 9.0, 0.0]), np.zeros(4))

    assert adapted[0] > 2.0 > adapted[1]
    assert adapted[2:].tolist() == [nightly.THRESHOLD_MOST, nightly.THRESHOLD_LEAST]
    assert (
        nightly.adapt(threshold, np.full(4, 0.2), np.full(4, 0.6))
        <= nightly.adapt(threshold, np.full(4, 0.2), np.zeros(4))
    ).all()


def test_two_far_trials_of_five_do_not_move_a_night() -> None:
    rows = np.array([[0.001, -0.004, 0.003, 0.4, 0.3]])
    value, _ = nightly.night_value(rows, np.array([CV**2]))

    assert value[0] == pytest.approx(0.003)


def test_canaries_tell_a_shared_drift_and_leave_a_steady_device_alone() -> None:
    random = np.random.default_rng(9)
    common = random.normal(0, 0.02, 31)
    drifting = common + random.normal(0, 0.002, (3, 31))
    steady = random.normal(0, 0.002, (3, 31))

    assert nightly.shared_drift(drifting[:, :-1], drifting[:, -1]) == pytest.approx(common[-1], abs=0.012)
    assert abs(nightly.shared_drift(steady[:, :-1], steady[:, -1])) < 0.002
    assert nightly.shared_drift(np.empty((0, 5)), np.empty(0)) == 0.0


@pytest.mark.long
@pytest.mark.parametrize("spiky", [False, True])
def test_rerun_nightly_nothing_false_is_confirmed_and_a_step_is_the_first_night(spiky: bool) -> None:
    cells = max(60, examples(120))
    fleet = Fleet(World(Nights("small", CV, spiky=spiky), cells, np.random.default_rng(51)))
    calm = [fleet.live(np.zeros(cells)) for _ in range(20)]
    slower = np.arange(cells) % 6 == 0
    stepped = fleet.live(np.where(slower, LOG_5, 0.0))

    assert not any(night.confirmed.any() for night in calm)
    assert np.mean([night.spent.mean() for night in calm]) < 0.25
    assert stepped.confirmed[slower].mean() >= 0.9
    assert not stepped.confirmed[~slower].any()


LOG_5 = math.log(1.05)
