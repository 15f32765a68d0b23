from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.domain.comparison import Agreement, Kind, Tolerance, Verdict
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.metric import Direction
from orchestrator.services.results.compare import CompareOptions, compare
from tests.unit.services.cell_results import LITERT, STEPS, TFLITE, FakeResults, only_row, outputs_of, result


def test_half_the_latency_is_an_improvement_with_ratio_size_and_accuracy() -> None:
    fp32 = replace(result("fp32", 40_000.0), size_bytes=20_000, accuracy=0.970)
    int8 = replace(result("int8", 20_000.0), size_bytes=5_000, accuracy=0.974)

    comparison = compare(FakeResults([fp32, int8]), "r1", "variant", "fp32")
    row = only_row(comparison)

    assert row.verdict is Verdict.IMPROVED
    assert row.ratio is not None
    assert row.ratio.value == pytest.approx(0.5)
    assert row.ratio.low is not None
    assert row.ratio.high is not None
    assert row.ratio.low < 0.5 < row.ratio.high
    assert row.size_ratio == 0.25
    assert row.accuracy_difference == pytest.approx(0.004)
    assert (row.side.at, row.side.trials) == ("int8", 5)
    assert comparison.groups[0].base is not None
    assert comparison.groups[0].base.value == pytest.approx(40_000.0, rel=1e-4)
    assert comparison.groups[0].fixed == {"runtime": TFLITE, "threads": 1}
    assert (comparison.tests, comparison.min_effect, comparison.metric.name) == (1, 0.01, "latency_ns")


def test_the_ratio_is_exactly_that_of_the_two_values_shown() -> None:
    comparison = compare(FakeResults([result("fp32", 40_000.0), result("int8", 21_000.0)]), "r1", "variant", "fp32")
    row, base = only_row(comparison), comparison.groups[0].base

    assert base is not None
    assert base.value is not None
    assert row.side.value is not None
    assert row.ratio is not None
    assert row.side.value / base.value == pytest.approx(row.ratio.value)


def test_an_alias_asks_the_database_for_the_metric_itself() -> None:
    results = FakeResults([result("fp32", 1.0), result("int8", 1.0)])
    comparison = compare(results, "r1", "variant", "fp32", CompareOptions(metric="memory"))

    assert results.asked == "rss_bytes_max"
    assert comparison.metric.direction is Direction.LOWER


def test_only_cells_that_are_equal_otherwise_are_compared() -> None:
    results = FakeResults(
        [
            result(variant, latency, device, runtime, {"threads": threads})
            for device in ("pi-03", "coral-01")
            for runtime in (TFLITE, LITERT)
            for threads in (1, 4)
            for variant, latency in (("fp32", 40_000.0), ("int8", 20_000.0))
        ]
    )

    comparison = compare(results, "r1", "variant", "fp32")

    assert len(comparison.groups) == 8
    assert comparison.tests == 8
    assert all(len(group.rows) == 1 for group in comparison.groups)
    assert {group.device for group in comparison.groups} == {"pi-03", "coral-01"}


def test_settings_and_devices_can_be_compared_too() -> None:
    results = FakeResults(
        [
            result("fp32", 40_000.0 / threads, device, settings={"threads": threads, "pinned": True})
            for device in ("pi-03", "pi-04")
            for threads in (1, 4)
        ]
    )

    by_threads = compare(results, "r1", "threads", "1")
    by_device = compare(results, "r1", "device", "pi-03")

    assert [row.side.at for row in by_threads.rows] == [4, 4]
    assert by_threads.groups[0].fixed == {"variant": "fp32", "runtime": TFLITE, "pinned": True}
    assert [group.device for group in by_device.groups] == [None, None]
    assert [row.verdict for row in by_device.rows] == [Verdict.EQUIVALENT, Verdict.EQUIVALENT]


def test_true_and_one_are_different_settings() -> None:
    results = FakeResults([result("fp32", 40_000.0, settings={"x": value}) for value in (1, True)])

    assert only_row(compare(results, "r1", "x", "1")).side.at is True


def test_a_setting_called_device_does_not_hide_the_device() -> None:
    results = FakeResults([result("fp32", 40_000.0, settings={"device": name}) for name in ("cpu", "gpu")])

    comparison = compare(results, "r1", "settings.device", "cpu")

    assert comparison.groups[0].device == "pi-03"
    assert only_row(comparison).side.at == "gpu"


def test_a_group_without_the_base_is_listed_not_dropped() -> None:
    results = FakeResults([result("fp32", 40_000.0), result("int8", 1.0), result("int8", 2.0, device="coral-01")])
    coral = compare(results, "r1", "variant", "fp32").groups[1]

    assert coral.base is None
    assert coral.notes == ("no variant fp32 here",)
    assert coral.rows[0].verdict is Verdict.NOT_COMPARABLE
    assert coral.rows[0].ratio is None
    assert coral.rows[0].side.value == pytest.approx(2.0, rel=1e-4)


def test_a_group_of_the_base_alone_keeps_its_base() -> None:
    alone, elsewhere = result("fp32", 40_000.0), result("int8", 1.0, device="coral-01")
    group = compare(FakeResults([alone, elsewhere]), "r1", "variant", "fp32").groups[0]

    assert group.rows == ()
    assert group.base is not None


def test_a_rejected_cell_is_not_comparable_and_says_why() -> None:
    rejected = replace(result("int8", None), rejected="FULLY_CONNECTED version '12'")
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), rejected]), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.NOT_COMPARABLE
    assert (row.side.value, row.side.spread, row.ratio, row.trials_more) == (None, None, None, None)
    assert row.notes == ("rejected: FULLY_CONNECTED version '12'",)


def test_trials_that_do_not_count_are_named() -> None:
    cut = replace(result("int8", 20_000.0, trials=3), invalid=1, failed=2, missing=1, without_metric=2)
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), cut]), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.IMPROVED
    left_out = ("1 invalid trial excluded", "2 trials failed", "1 trial missing", "2 trials did not measure latency_ns")
    assert row.notes == left_out


def test_values_of_a_machine_that_others_could_use_are_named_on_either_side() -> None:
    base, other = replace(result("fp32", 40_000.0), shared=1), replace(result("int8", 20_000.0), shared=5)
    (group,) = compare(FakeResults([base, other]), "r1", "variant", "fp32").groups

    assert group.notes == ("1 trial on a machine that others could use (exclusive: false)",)
    assert group.rows[0].notes == ("5 trials on a machine that others could use (exclusive: false)",)


def test_one_trial_has_a_ratio_without_an_interval_and_no_verdict() -> None:
    few = result("int8", 20_000.0, trials=1)
    comparison = compare(FakeResults([result("fp32", 40_000.0), few]), "r1", "variant", "fp32")
    row = only_row(comparison)

    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.ratio is not None
    assert (row.ratio.low, row.ratio.high, row.ratio.p_value, row.ratio.p_adjusted) == (None, None, None, None)
    assert row.trials_more is None
    assert row.notes == ("one trial on a side: the spread is unknown, and so is how many more would settle it",)
    assert comparison.tests == 0


def test_an_inconclusive_comparison_names_how_many_trials_would_settle_it() -> None:
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), _noisier("fp16", 2)]), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.trials_total is not None
    assert 6 <= row.trials_total.fewest < row.trials_total.most < 200
    assert row.trials_more == row.trials_total.most - 5
    assert row.ratio is not None
    assert row.ratio.detectable is not None
    assert 0.02 < row.ratio.detectable < 0.2


def test_a_wider_minimum_effect_settles_it() -> None:
    results = FakeResults([result("fp32", 40_000.0), _noisier("fp16", 2)])
    row = only_row(compare(results, "r1", "variant", "fp32", CompareOptions(min_effect=0.05)))

    assert row.verdict is Verdict.EQUIVALENT


def test_what_is_far_too_noisy_is_not_judged_and_says_so() -> None:
    cells = [_noisier("fp32", 20), _noisier("fp16", 20)]
    row = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))

    assert (row.verdict, row.trials_more, row.trials_total) == (Verdict.NOISY, None, None)
    assert row.notes == ("far too noisy: 500 trials a side would not show a change of 1 %",)


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ((2_100_000.0, 4_300_000.0), "may be chance: a verdict asks for stronger evidence; and for 3 trials a side"),
        (
            (90_000.0, 9_000_000.0),
            "every trial of one side lies beyond the other side, but the trials scatter too much",
        ),
    ],
)
def test_two_wild_trials_far_from_the_others_are_too_few_rather_than_noisy(
    trials: tuple[float, ...], words: str
) -> None:
    slow = replace(result("predict", 1.0), trial_values=trials)
    fast = replace(result("tf.lite", 1.0), trial_values=(38_000.0, 52_000.0))
    row = only_row(compare(FakeResults([fast, slow]), "r1", "variant", "tf.lite"))

    assert row.verdict is Verdict.INCONCLUSIVE
    assert words in row.notes[0]
    assert row.trials_total is not None
    assert row.trials_total.fewest > 2


def test_a_cell_on_two_levels_is_noisy_and_says_so() -> None:
    jumping = replace(result("fp16", 1.0), trial_values=(40_100.0, 40_250.0, 39_870.0, 56_000.0, 56_400.0))
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), jumping]), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.NOISY
    assert "no one value stands for the cell" in row.notes[0]


@pytest.mark.parametrize(
    ("others", "verdict", "words"),
    [
        ((80_000.0, 80_250.0, 79_870.0, 80_100.0, 79_900.0), Verdict.REGRESSED, "judged all the same"),
        ((57_000.0, 57_250.0, 56_870.0, 57_100.0, 56_900.0), Verdict.NOISY, "nothing is concluded"),
    ],
)
def test_sides_that_lie_apart_are_judged_where_the_difference_outweighs_the_noise(
    others: tuple[float, ...], verdict: Verdict, words: str
) -> None:
    jumping = replace(result("fp32", 1.0), trial_values=(40_100.0, 40_110.0, 40_090.0, 42_000.0, 42_010.0))
    if verdict is Verdict.NOISY:
        jumping = replace(jumping, trial_values=(40_100.0, 40_250.0, 39_870.0, 56_000.0, 56_400.0))
    other = replace(result("int8", 1.0), trial_values=others)
    row = only_row(compare(FakeResults([jumping, other]), "r1", "variant", "fp32"))

    assert row.verdict is verdict
    assert words in row.notes[0]


def test_a_trial_far_off_is_set_aside_and_named() -> None:
    disturbed = replace(result("int8", 1.0), trial_values=(60_000.0, 60_200.0, 59_900.0, 60_100.0, 121_000.0))
    comparison = compare(FakeResults([result("fp32", 40_000.0), disturbed]), "r1", "variant", "fp32")
    row = only_row(comparison)

    assert (row.verdict, row.word) == (Verdict.REGRESSED, "slower")
    assert row.ratio is not None
    assert row.ratio.value == pytest.approx(1.5, rel=0.01)
    assert row.side.value == pytest.approx(60_050.0, rel=1e-3)
    assert row.side.set_aside == pytest.approx([2.015], rel=1e-3)
    assert row.notes == ("1 of 5 trials set aside, too far off the others: ×2.01 their mean",)


def test_a_base_says_what_was_set_aside() -> None:
    disturbed = replace(result("fp32", 1.0), trial_values=(60_000.0, 60_200.0, 59_900.0, 60_100.0, 121_000.0))
    (group,) = compare(FakeResults([disturbed, result("int8", 1.0)]), "r1", "variant", "fp32").groups

    assert group.notes == ("1 of 5 trials set aside, too far off the others: ×2.01 their mean",)


def test_a_real_change_about_the_minimum_says_so() -> None:
    fine = tuple(1 + (step - 1) / 10 for step in STEPS)
    cells = [
        replace(result(name, 1.0), trial_values=tuple(value * step for step in fine))
        for name, value in (("fp32", 40_000.0), ("fp16", 40_420.0))
    ]
    row = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.REGRESSED
    assert row.notes == ("a real change, and about the smallest that counts (1 %)",)


def test_the_same_thing_over_time_regresses() -> None:
    results = FakeResults([result("fp32", 40_000.0), result("int8", 80_000.0)])
    between = only_row(compare(results, "r1", "variant", "fp32"))
    over_time = only_row(compare(results, "r1", "variant", "fp32", CompareOptions(kind=Kind.OVER_TIME)))

    assert (between.verdict, between.word) == (Verdict.REGRESSED, "slower")
    assert (over_time.verdict, over_time.word) == (Verdict.REGRESSED, "regressed")


def test_how_many_others_are_compared_changes_no_verdict() -> None:
    # 1.3 % apart: p about 0.03, which is no evidence for a verdict
    cells = [result("fp32", 40_000.0), result("fp16", 40_520.0)]
    alone = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))
    for number in range(19):
        cells += [result(variant, 40_000.0, device=f"pi-{number + 10}") for variant in ("fp32", "fp16")]
    among_many = compare(FakeResults(cells), "r1", "variant", "fp32")

    assert among_many.tests == 20
    for row in (alone, among_many.rows[0]):
        assert row.verdict is Verdict.INCONCLUSIVE
        assert "which may be chance" in row.notes[0]
    assert among_many.rows[0].ratio is not None
    assert alone.ratio is not None
    assert (among_many.rows[0].ratio.low, among_many.rows[0].ratio.p_value) == (alone.ratio.low, alone.ratio.p_value)
    assert among_many.rows[0].ratio.p_adjusted != alone.ratio.p_adjusted


def test_values_without_spread_are_said_to_have_none() -> None:
    flat = [replace(result(name, 1.0), trial_values=(size,) * 5) for name, size in (("fp32", 1e7), ("int8", 8e6))]
    row = only_row(compare(FakeResults(flat), "r1", "variant", "fp32", CompareOptions(metric="memory")))

    assert (row.verdict, row.word) == (Verdict.IMPROVED, "smaller")
    assert row.notes == ("no spread between trials: the interval is as wide as their resolution leaves open",)


@pytest.mark.parametrize("trials", [2, 3, 4])
def test_two_sides_that_tie_within_get_no_verdict_from_one_step_of_their_grid(trials: int) -> None:
    flat = [replace(result(name, 1.0), trial_values=(v,) * trials) for name, v in (("fp32", 100.0), ("int8", 102.0))]
    row = only_row(compare(FakeResults(flat), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.ratio is not None
    assert row.ratio.p_value is not None
    assert row.ratio.p_value > 0.001


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_values_that_have_no_ratio_are_not_compared(bad: float) -> None:
    zero = replace(result("int8", 1.0), trial_values=(bad, 1.0, 1.0))
    row = only_row(compare(FakeResults([result("fp32", 1.0), zero]), "r1", "variant", "fp32"))

    assert (row.verdict, row.ratio, row.side.value) == (Verdict.NOT_COMPARABLE, None, None)
    assert row.notes == ("a trial's value is not above zero: no ratio",)


def test_outputs_are_compared_with_those_of_the_same_cell() -> None:
    fp32, int8, elsewhere = result("fp32", 1.0), result("int8", 1.0), result("int8", 1.0, device="pi-04")
    outputs = [outputs_of(fp32, 0.1, 0.9), outputs_of(int8, 0.143, 0.857), outputs_of(elsewhere, 0.9, 0.1)]
    row = only_row(compare(FakeResults([fp32, int8], outputs), "r1", "variant", "fp32"))

    assert row.outputs.agreement is Agreement.DIFFER
    assert row.outputs.max_difference == pytest.approx(0.043, abs=1e-6)
    assert row.outputs.top1_same == 1


def test_the_tolerance_is_the_callers_and_is_stated() -> None:
    fp32, int8 = result("fp32", 1.0), result("int8", 1.0)
    results = FakeResults([fp32, int8], [outputs_of(fp32, 0.1, 0.9), outputs_of(int8, 0.143, 0.857)])
    comparison = compare(results, "r1", "variant", "fp32", CompareOptions(tolerance=Tolerance(absolute=0.1)))

    assert only_row(comparison).outputs.agreement is Agreement.AGREE
    assert comparison.tolerance == Tolerance(0.1, 0.01)


def test_missing_sizes_accuracies_and_outputs_stay_missing() -> None:
    small = replace(result("int8", 1.0), size_bytes=5_000, accuracy=0.9)
    row = only_row(compare(FakeResults([result("fp32", 1.0), small]), "r1", "variant", "fp32"))

    assert (row.size_ratio, row.accuracy_difference) == (None, None)
    assert (row.outputs.agreement, row.outputs.max_difference) == (Agreement.UNKNOWN, None)


def _noisier(variant: str, times: float) -> CellResult:
    """Return a result whose trials scatter so many times as much."""
    return replace(result(variant, 1.0), trial_values=tuple(40_000.0 * (1 + times * (step - 1)) for step in STEPS))
