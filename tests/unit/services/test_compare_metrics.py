"""Several metrics in one comparison: the first leads, each is judged by itself, and a cell's reason is told once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from orchestrator.domain.comparison import Comparison, Verdict
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.gate import GateKind
from orchestrator.domain.measurement import CellResult
from orchestrator.services.results.compare import CompareOptions, compare, compare_runs
from orchestrator.services.results.foreseen import Foreseen
from orchestrator.services.results.metrics import compare_named, compare_usual
from orchestrator.services.results.settling import settling_commands
from orchestrator.services.runs.extend import read_more_trials
from tests.unit.services.cell_results import FakeResults, only_row, result

Values = Mapping[str, float | None]
USUAL = ("latency_ns", "rss_bytes_max")


@dataclass
class MetricResults(FakeResults):
    """Holds another value of each cell for each metric; a value of None was not measured."""

    by_metric: Mapping[str, Sequence[CellResult]] | None = None

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        cells = (self.by_metric or {}).get(metric)
        if cells is None:
            cells = [replace(cell, trial_values=(), without_metric=5) for cell in self.results]
        return [replace(cell, metric=metric) for cell in cells if cell.cell.run == run]


def measured(values: Mapping[str, Values], sizes: Mapping[str, int] | None = None) -> MetricResults:
    """Cells fp32 and int8 with these values of each metric, in five trials."""

    def cell(variant: str, value: float | None) -> CellResult:
        made = result(variant, value)
        made = replace(made, size_bytes=(sizes or {}).get(variant))
        return replace(made, without_metric=5) if value is None else made

    by_metric = {metric: [cell(variant, value) for variant, value in of.items()] for metric, of in values.items()}
    first = next(iter(by_metric.values()))
    return MetricResults(first, metrics=sorted(values), by_metric=by_metric)


def named(results: MetricResults, *names: str, **options: float) -> Comparison:
    return compare_named(
        lambda asked: compare(results, "r1", "variant", "fp32", asked),
        names,
        CompareOptions(**options),  # type: ignore[arg-type]
    )


def usual(results: MetricResults) -> Comparison:
    measured_metrics = results.measured_metrics("r1")
    return compare_usual(
        lambda asked: compare(results, "r1", "variant", "fp32", asked), measured_metrics, CompareOptions()
    )


LATENCY = {"fp32": 100.0, "int8": 150.0}
MEMORY = {"fp32": 5e7, "int8": 5e7}


def test_each_metric_is_judged_by_itself_in_the_order_of_the_names() -> None:
    comparison = named(measured({"latency_ns": LATENCY, "rss_bytes_max": MEMORY}), "memory", "latency")
    assert [metric.name for metric in comparison.metrics] == ["rss_bytes_max", "latency_ns"]
    row = only_row(comparison)
    assert row.verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT)
    (latency,) = row.metrics
    assert (latency.verdict, latency.word) == (Verdict.REGRESSED, "slower")
    assert latency.ratio is not None
    assert latency.ratio.value == pytest.approx(1.5)
    assert latency.base is not None
    assert [latency.base.value, latency.side.value] == pytest.approx([100.0, 150.0], rel=1e-3)


def test_a_metric_named_twice_by_name_and_alias_is_compared_once() -> None:
    comparison = named(measured({"latency_ns": LATENCY}), "latency", "latency_ns", "p50")
    assert comparison.further == ()
    assert only_row(comparison).verdict is Verdict.REGRESSED


def test_a_named_metric_that_nobody_measured_is_refused_as_it_was_named() -> None:
    with pytest.raises(ConfigError, match="no trial of run r1 measured 'energy'"):
        named(measured({"latency_ns": LATENCY}), "latency", "energy")


def test_the_usual_metrics_are_those_that_both_sides_have() -> None:
    values: dict[str, Values] = {"latency_ns": LATENCY, "rss_bytes_max": MEMORY}
    values["energy_mj"] = {"fp32": 3.0, "int8": None}
    comparison = usual(measured(values))
    assert tuple(metric.name for metric in comparison.metrics) == USUAL


def test_percentiles_belong_to_the_usual_metrics_where_there_are_samples() -> None:
    comparison = usual(measured({"latency_ns": LATENCY, "latency_ns_p99": {"fp32": 300.0, "int8": 900.0}}))
    assert [metric.name for metric in comparison.metrics] == ["latency_ns", "latency_ns_p99"]
    assert only_row(comparison).metrics[0].min_effect == 0.05


def test_over_time_a_usual_metric_that_was_lost_is_missing() -> None:
    """Between two devices one may well lack a power source. Of one device it has gone."""
    before = measured({"latency_ns": LATENCY, "energy_mj": {"fp32": 3.0, "int8": 2.0}})
    assert before.by_metric is not None

    def later(cell: CellResult) -> CellResult:
        gone = {"trial_values": (), "without_metric": 5} if cell.metric == "energy_mj" else {}
        return replace(cell, cell=replace(cell.cell, run="r2"), **gone)  # type: ignore[arg-type]

    by_metric = {
        name: [*cells, *(later(replace(cell, metric=name)) for cell in cells)]
        for name, cells in before.by_metric.items()
    }
    both = replace(before, by_metric=by_metric, results=by_metric["latency_ns"])
    comparison = compare_usual(lambda asked: compare_runs(both, "r2", "r1", asked), both.metrics, CompareOptions())
    assert [metric.name for metric in comparison.metrics] == ["latency_ns", "energy_mj"]
    reasons = [reason for row in comparison.rows for reason in row.reasons]
    assert [reason.kind for reason in reasons] == [GateKind.MISSING] * 2
    assert {reason.text.split(",")[0] for reason in reasons} == {"energy_mj is missing"}


def test_the_gate_refuses_for_each_metric_and_says_which() -> None:
    values = {"latency_ns": LATENCY, "rss_bytes_max": {"fp32": 5e7, "int8": 7e7}}
    row = only_row(named(measured(values), "latency", "memory"))
    assert [reason.text.split(":")[0] for reason in row.reasons] == ["latency_ns slower", "rss_bytes_max larger"]


def test_a_cell_that_does_not_run_is_one_reason_whatever_the_number_of_metrics() -> None:
    results = measured({"latency_ns": {"fp32": 100.0, "int8": None}, "rss_bytes_max": {"fp32": 5e7, "int8": None}})
    assert results.by_metric is not None
    broken = {
        name: [replace(cell, rejected="load-error: no such op") if not cell.trial_values else cell for cell in cells]
        for name, cells in results.by_metric.items()
    }
    row = only_row(named(replace(results, by_metric=broken), "latency", "memory"))
    assert [reason.kind for reason in row.reasons] == [GateKind.DOES_NOT_LOAD]


@pytest.mark.parametrize(("failed", "of_base", "refused"), [(1, 0, False), (4, 0, True), (4, 4, False)])
def test_a_cell_most_of_whose_trials_crash_passes_no_gate(failed: int, of_base: int, refused: bool) -> None:
    results = measured({"latency_ns": {"fp32": 100.0, "int8": 100.0}, "rss_bytes_max": MEMORY})
    assert results.by_metric is not None
    crashed = {"fp32": of_base, "int8": failed}
    by_metric = {
        name: [
            replace(cell, failed=count, trial_values=cell.trial_values[: 5 - count])
            for cell in cells
            for count in [crashed[cell.cell.variant]]
        ]
        for name, cells in results.by_metric.items()
    }
    row = only_row(named(replace(results, by_metric=by_metric), "latency", "memory"))
    assert [reason.kind for reason in row.reasons] == [GateKind.DOES_NOT_LOAD] * refused
    assert [reason.text for reason in row.reasons] == ["4 trials failed, and 1 ran"] * refused


def test_nothing_is_compared_only_if_no_metric_is() -> None:
    single = {"fp32": 100.0, "int8": None}
    some = named(measured({"latency_ns": single, "rss_bytes_max": MEMORY}), "latency", "memory")
    assert some.overall == ()
    none = named(measured({"latency_ns": single, "rss_bytes_max": single}), "latency", "memory")
    assert [reason.kind for reason in none.overall] == [GateKind.NOTHING_COMPARED]


@pytest.mark.parametrize(
    ("sizes", "verdict", "word"),
    [
        ({"fp32": 40_000, "int8": 10_000}, Verdict.IMPROVED, "smaller"),
        ({"fp32": 40_000, "int8": 41_000}, Verdict.REGRESSED, "larger"),
        ({"fp32": 40_000, "int8": 40_100}, Verdict.EQUIVALENT, "equivalent"),
    ],
)
def test_sizes_are_known_for_certain(sizes: Mapping[str, int], verdict: Verdict, word: str) -> None:
    comparison = named(measured({"latency_ns": LATENCY}, sizes), "size")
    row = only_row(comparison)
    assert (row.verdict, row.word, row.notes) == (verdict, word, ())
    assert comparison.overall == (), "a size needs no second trial"


def test_one_comparison_for_each_metric_has_the_figures_and_the_reasons_of_that_metric() -> None:
    values = {"latency_ns": LATENCY, "rss_bytes_max": {"fp32": 5e7, "int8": 7e7}}
    latency, memory = named(measured(values), "latency", "memory").in_each_metric()
    assert (latency.metric.name, memory.metric.name) == ("latency_ns", "rss_bytes_max")
    assert [reason.text.split(":")[0] for reason in latency.reasons] == ["latency_ns slower"]
    assert [reason.text.split(":")[0] for reason in memory.reasons] == ["rss_bytes_max larger"]
    assert memory.groups[0].base is not None
    assert memory.groups[0].base.value == pytest.approx(5e7, rel=1e-3)
    assert memory == replace(named(measured(values), "memory"), groups=memory.groups, commands=())


# ---- What would settle the rest


def undecided(by: str = "variant", base: str = "fp32", **settings: object) -> Comparison:
    cells = [result("fp32", 100.0, settings=settings), result("int8", 100.4, settings=settings)]  # type: ignore[arg-type]
    return compare(FakeResults(cells), "r1", by, base)


def test_a_command_names_the_trials_the_device_and_both_cells() -> None:
    comparison = undecided(threads=1)
    (command,) = settling_commands(comparison)
    words = shlex.split(command)
    more = only_row(comparison).trials_more
    assert words[:7] == ["benchfleet", "runs", "resume", "r1", "--trials", f"+{more}", "--select"]
    assert words[7] == "pi-03"
    cells = [words[place + 1] for place, word in enumerate(words) if word == "--cells"]
    assert cells == [f"variant={variant},runtime=tflite-runtime==2.14.0,threads=1" for variant in ("fp32", "int8")]
    wanted = read_more_trials(words[5], cells)
    assert [rule["variant"] for rule in wanted.cells] == ["fp32", "int8"]


def test_a_value_that_a_rule_cannot_hold_becomes_a_glob_that_matches_it() -> None:
    (command,) = settling_commands(undecided(cpus="0,1"))
    assert "cpus=0?1" in command


def test_what_is_settled_needs_no_command() -> None:
    assert (
        settling_commands(compare(FakeResults([result("fp32", 100.0), result("int8", 50.0)]), "r1", "variant", "fp32"))
        == ()
    )


def test_devices_that_are_compared_each_get_their_command() -> None:
    cells = [result("fp32", 100.0, device="pi-03"), result("fp32", 100.4, device="pi-04")]
    commands = settling_commands(compare(FakeResults(cells), "r1", "device", "pi-03"))
    assert [shlex.split(command)[7] for command in commands] == ["pi-03", "pi-04"]


def test_two_runs_are_not_extended() -> None:
    """Trials that were added to last week's run would be measured tonight."""
    night, later = result("fp32", 100.0), result("fp32", 100.4)
    results = FakeResults([night, replace(later, cell=replace(later.cell, run="r2"))])
    comparison = compare_runs(results, "r2", "r1")
    assert only_row(comparison).trials_more is not None
    assert settling_commands(comparison) == ()


def test_memory_that_a_small_model_did_not_add_is_measured_and_no_reason_against_it() -> None:
    tiny: dict[str, Values] = {"latency_ns": LATENCY, "rss_model_bytes_max": {"fp32": 3e5, "int8": -4096.0}}
    comparison = named(measured(tiny), "latency", "model_memory")
    (row,) = comparison.rows
    assert row.metrics[0].ratio is None
    assert not [reason for reason in row.reasons if "rss_model_bytes_max" in reason.text]
    lost: dict[str, Values] = {"latency_ns": LATENCY, "rss_model_bytes_max": {"fp32": 3e5, "int8": None}}
    (row,) = named(measured(lost), "latency", "model_memory").rows
    assert [reason.kind for reason in row.reasons if "rss_model_bytes_max" in reason.text] == [GateKind.MISSING]


@dataclass
class CountedResults(MetricResults):
    """Counts how often the database is read."""

    reads: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def results_in_metrics(self, run: str, metrics: Sequence[str]) -> Mapping[str, Sequence[CellResult]]:
        self.reads.append((run, tuple(metrics)))
        return super().results_in_metrics(run, metrics)


def test_a_run_is_read_once_for_all_metrics_of_a_comparison() -> None:
    made = measured({"latency_ns": LATENCY, "rss_bytes_max": MEMORY, "energy_mj": {"fp32": None, "int8": None}})
    counted = CountedResults(made.results, metrics=made.metrics, by_metric=made.by_metric)
    metrics = ("latency_ns", "rss_bytes_max", "energy_mj")
    results = Foreseen(counted, metrics)

    valued = results.valued_metrics(["r1"])
    found = compare_usual(lambda asked: compare(results, "r1", "variant", "fp32", asked), valued, CompareOptions())

    assert found == usual(made)
    assert set(valued) == {"latency_ns", "rss_bytes_max"}
    assert counted.reads == [("r1", metrics)]
    assert [one.metric for one in results.cell_results("r1", "load_ns")] == ["load_ns"] * 2, "not foreseen, and read"
    assert counted.reads[1:] == [("r1", ("load_ns",))]


def test_a_metric_without_a_value_in_the_bases_is_not_asked_for() -> None:
    made = measured({"latency_ns": LATENCY, "rss_bytes_max": MEMORY})
    asked: list[str] = []

    def ask(options: CompareOptions) -> Comparison:
        asked.append(options.metric)
        return compare(made, "r1", "variant", "fp32", options)

    compare_usual(ask, {"latency_ns", "rss_bytes_max"}, CompareOptions())
    assert asked == ["latency_ns", "rss_bytes_max"]
