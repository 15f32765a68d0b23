"""What a comparison is asked for: base, coordinate, metric and minimum effect."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.domain.comparison import Verdict
from orchestrator.domain.errors import ConfigError, ExitCode, IncompleteError
from orchestrator.services.results.compare import CompareOptions, compare
from tests.unit.services.cell_results import LITERT, TFLITE, FakeResults, only_row, result


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


def test_a_run_whose_every_trial_was_invalid_is_shown_and_not_taken_for_a_mistyped_metric() -> None:
    cells = [replace(result(variant, None), invalid=4) for variant in ("fp32", "int8")]
    disturbed = FakeResults(cells, metrics=["accuracy_top1", "load_ns"])

    row = only_row(compare(disturbed, "r1", "variant", "fp32"))

    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.side.invalid == 4


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
