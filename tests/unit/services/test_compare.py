from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from orchestrator.domain.comparison import Agreement, Comparison, ComparisonRow, Tolerance, Verdict
from orchestrator.domain.errors import ConfigError, ExitCode, IncompleteError
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult
from orchestrator.domain.metric import Direction
from orchestrator.domain.run import ExcludedCell
from orchestrator.domain.sweep import Setting
from orchestrator.services.compare import CompareOptions, compare

STEPS = (0.99, 0.995, 1.0, 1.005, 1.01)
TFLITE, LITERT = "tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"


@dataclass
class FakeResults:
    """Holds results; remembers which metric was asked for."""

    results: Sequence[CellResult]
    outputs: Sequence[CellOutputs] = ()
    asked: str = ""
    metrics: Sequence[str] = ()
    newest: str | None = None
    excluded: Sequence[ExcludedCell] = ()

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        self.asked = metric
        return [result for result in self.results if result.cell.run == run]

    def measured_metrics(self, run: str) -> Sequence[str]:
        return self.metrics

    def newest_run_with_results(self) -> str | None:
        return self.newest

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        return self.excluded

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        return [outputs for outputs in self.outputs if outputs.cell.run == run]


def result(
    variant: str,
    latency: float | None,
    device: str = "pi-03",
    runtime: str = TFLITE,
    settings: dict[str, Setting] | None = None,
    trials: int = 5,
) -> CellResult:
    values = () if latency is None else tuple(latency * step for step in STEPS[:trials])
    cell = Cell("r1", device, "digits", variant, runtime, {"threads": 1} if settings is None else settings)
    return CellResult(cell, "latency_ns", values, 0, 0, 0, None, None, None)


def only_row(comparison: Comparison) -> ComparisonRow:
    (row,) = comparison.rows
    return row


def outputs_of(cell: CellResult, *values: float) -> CellOutputs:
    return CellOutputs(cell.cell, 1, len(values), struct.pack(f"<{len(values)}f", *values), "dataset")


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
    assert [row.verdict for row in by_device.rows] == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]


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


def test_an_inconclusive_comparison_names_how_many_more_trials_would_settle_it() -> None:
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), result("fp16", 40_000.0)]), "r1", "variant", "fp32"))

    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.trials_more is not None
    assert 1 <= row.trials_more < 20


def test_a_wider_minimum_effect_settles_it() -> None:
    results = FakeResults([result("fp32", 40_000.0), result("fp16", 40_000.0)])
    row = only_row(compare(results, "r1", "variant", "fp32", CompareOptions(min_effect=0.05)))

    assert row.verdict is Verdict.EQUIVALENT


def test_what_no_number_of_trials_would_settle_says_so() -> None:
    on_the_edge = replace(result("fp16", 40_000.0), trial_values=tuple(40_380.0 * step for step in STEPS))
    row = only_row(compare(FakeResults([result("fp32", 40_000.0), on_the_edge]), "r1", "variant", "fp32"))

    assert (row.verdict, row.trials_more) == (Verdict.INCONCLUSIVE, None)
    assert row.notes == ("by what was seen, 500 trials a side would not settle it",)


def test_chance_among_many_comparisons_is_not_called_a_difference() -> None:
    # 1.3 % apart: significant alone (p about 0.03), not among twenty that do not differ
    cells = [result("fp32", 40_000.0), result("fp16", 40_520.0)]
    alone = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))
    for number in range(19):
        cells += [result(variant, 40_000.0, device=f"pi-{number + 10}") for variant in ("fp32", "fp16")]
    among_many = compare(FakeResults(cells), "r1", "variant", "fp32")

    assert alone.verdict is Verdict.REGRESSED
    assert among_many.tests == 20
    assert among_many.rows[0].verdict is Verdict.INCONCLUSIVE
    assert "among this many comparisons" in among_many.rows[0].notes[0]
    assert among_many.rows[0].ratio is not None
    assert alone.ratio is not None
    assert (among_many.rows[0].ratio.low, among_many.rows[0].ratio.p_value) == (alone.ratio.low, alone.ratio.p_value)


def test_values_without_spread_are_said_to_have_none() -> None:
    flat = [replace(result(name, 1.0), trial_values=(size,) * 5) for name, size in (("fp32", 1e7), ("int8", 8e6))]
    row = only_row(compare(FakeResults(flat), "r1", "variant", "fp32", CompareOptions(metric="memory")))

    assert row.verdict is Verdict.IMPROVED
    assert row.notes == ("no spread between trials: the interval has no width",)


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


@pytest.mark.parametrize("base", [TFLITE, "tflite-runtime", "tflite-*", "tflite"])
def test_a_runtime_may_be_named_by_its_beginning_or_a_glob(base: str) -> None:
    results = FakeResults([result("fp32", 1.0, runtime=name) for name in (LITERT, TFLITE)])

    assert only_row(compare(results, "r1", "runtime", base)).side.at == LITERT


def test_a_runtimes_whole_name_wins_over_a_longer_one() -> None:
    runtimes = (TFLITE, "tflite-runtime-nightly==2.15.0")
    results = FakeResults([result("fp32", 1.0, runtime=name) for name in runtimes])

    assert only_row(compare(results, "r1", "runtime", "tflite-runtime")).side.at == runtimes[1]


def test_a_pattern_may_mean_another_base_on_each_device() -> None:
    results = FakeResults(
        [
            result("fp32", 1.0, device, runtime)
            for device, version in (("pi-03", "2.14.0"), ("coral-01", "2.11.0"))
            for runtime in (f"tflite-runtime=={version}", LITERT)
        ]
    )

    comparison = compare(results, "r1", "runtime", "tflite-runtime")

    assert [group.base.at for group in comparison.groups if group.base] == [
        "tflite-runtime==2.14.0",
        "tflite-runtime==2.11.0",
    ]


def test_a_pattern_that_means_two_bases_in_one_group_is_refused() -> None:
    results = FakeResults([result("fp32", 1.0, runtime=f"tflite-runtime=={v}") for v in ("2.13.0", "2.14.0")])

    with pytest.raises(ConfigError, match=r"ambiguous: tflite-runtime==2\.13\.0 and tflite-runtime==2\.14\.0 on pi-03"):
        compare(results, "r1", "runtime", "tflite-runtime")


def test_a_variant_is_not_guessed_from_its_beginning() -> None:
    with pytest.raises(ConfigError, match="has no variant 'fp3'") as caught:
        compare(FakeResults([result("fp32", 1.0), result("int8", 1.0)]), "r1", "variant", "fp3")

    assert caught.value.hint == "known: fp32, int8"
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_does_not_vary_is_refused_with_what_does() -> None:
    cells = [result(variant, 1.0, device) for device in ("pi-03", "pi-04") for variant in ("fp32", "int8")]
    with pytest.raises(ConfigError, match="nothing to compare: every cell of run r1 has threads 1") as caught:
        compare(FakeResults(cells), "r1", "threads", "1")

    assert caught.value.hint == "what varies is device: pi-03, pi-04; variant: fp32, int8"
    with pytest.raises(ConfigError, match="every cell of run r1 has variant fp32") as alone:
        compare(FakeResults(cells[:1]), "r1", "variant", "fp32")
    assert alone.value.hint == "every coordinate of it has one value"


def test_an_unknown_coordinate_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="anything called 'thread'") as caught:
        compare(FakeResults([result("fp32", 1.0)]), "r1", "thread", "1")

    assert caught.value.hint == "did you mean 'threads'?"


def test_an_unknown_metric_that_nothing_measured_names_the_nearest() -> None:
    nothing = FakeResults([result("fp32", None), result("int8", None)])
    with pytest.raises(ConfigError, match="measured 'latency_n'") as caught:
        compare(nothing, "r1", "variant", "fp32", CompareOptions(metric="latency_n"))

    assert caught.value.hint == "did you mean 'latency_ns'?"


@pytest.mark.parametrize("metric", ["energy", "latency_n"])
def test_a_metric_that_the_run_lacks_is_refused_with_those_it_has(metric: str) -> None:
    others = FakeResults([result("fp32", None), result("int8", None)], metrics=["latency_ns", "rss_bytes_max"])
    with pytest.raises(ConfigError, match=f"no trial of run r1 measured '{metric}'") as caught:
        compare(others, "r1", "variant", "fp32", CompareOptions(metric=metric))

    assert caught.value.hint == "known: latency_ns, rss_bytes_max"


def test_a_known_metric_that_nothing_measured_is_not_comparable() -> None:
    nothing = FakeResults([result("fp32", None), result("int8", None)])

    assert only_row(compare(nothing, "r1", "variant", "fp32")).verdict is Verdict.NOT_COMPARABLE


def test_a_metric_of_the_users_own_needs_no_registration() -> None:
    results = FakeResults([result("fp32", 10.0), result("int8", 20.0)])
    row = only_row(compare(results, "r1", "variant", "fp32", CompareOptions(metric="frames")))

    assert row.verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("min_effect", [-0.01, math.nan, math.inf])
def test_a_senseless_minimum_effect_is_refused(min_effect: float) -> None:
    with pytest.raises(ConfigError, match="makes no sense"):
        compare(FakeResults([result("fp32", 1.0)]), "r1", "variant", "fp32", CompareOptions(min_effect=min_effect))


def test_a_run_without_jobs_is_incomplete() -> None:
    with pytest.raises(IncompleteError, match="run r2 has no jobs") as caught:
        compare(FakeResults([result("fp32", 1.0)], newest="r1"), "r2", "variant", "fp32")

    assert caught.value.hint == "benchfleet runs show r2 says why; the newest run with results is r1"
    with pytest.raises(IncompleteError) as alone:
        compare(FakeResults([]), "r2", "variant", "fp32")
    assert alone.value.hint == "benchfleet runs show r2 says why"
