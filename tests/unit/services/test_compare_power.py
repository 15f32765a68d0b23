"""Figures of power come from sources: those of different ones are never set side by side in silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.comparison import Comparison, Verdict
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.power import UNRECORDED_SOURCE
from orchestrator.services.results.compare import CompareOptions, compare
from tests.unit.services.cell_results import FakeResults, only_row, result

ENERGY = CompareOptions(metric="energy")
HWMON = "hwmon ina3221 VDD_IN"


def energy(variant: str, value: float | None, *sources: str, device: str = "pi-03") -> CellResult:
    return replace(result(variant, value, device), metric="energy_mj", sources=sources)


def compared(*cells: CellResult, by: str = "variant", base: str = "fp32") -> Comparison:
    return compare(FakeResults(cells, metrics=["latency_ns"]), "r1", by, base, ENERGY)


def test_figures_of_one_source_are_compared() -> None:
    row = only_row(compared(energy("fp32", 4.0, "rapl"), energy("int8", 2.0, "rapl")))
    assert (row.verdict, row.notes, row.side.sources) == (Verdict.IMPROVED, (), ("rapl",))


def test_figures_of_two_sources_are_not_and_both_are_named() -> None:
    cells = [energy("fp32", 4.0, "rapl", device="desk"), energy("fp32", 2.0, HWMON, device="pi-03")]
    comparison = compared(*cells, by="device", base="desk")
    row = only_row(comparison)
    assert (row.verdict, row.ratio, comparison.tests) == (Verdict.NOT_COMPARABLE, None, 0)
    assert row.notes == (f"not comparable: power from {HWMON} here, from rapl there",)
    assert row.side.value == pytest.approx(2.0, rel=1e-3), "each figure by itself stands"


def test_a_cell_whose_trials_had_two_sources_has_no_value() -> None:
    comparison = compared(energy("fp32", 4.0, "rapl", HWMON), energy("int8", 2.0, "rapl"))
    (group,) = comparison.groups
    assert group.base is not None
    assert (group.base.value, group.notes) == (
        None,
        (f"no value: its trials had their power from rapl and from {HWMON}",),
    )
    assert only_row(comparison).verdict is Verdict.NOT_COMPARABLE


def test_figures_of_before_sources_were_recorded_say_so() -> None:
    row = only_row(compared(energy("fp32", 4.0, UNRECORDED_SOURCE), energy("int8", 2.0, UNRECORDED_SOURCE)))
    assert row.verdict is Verdict.IMPROVED
    assert row.notes == ("which power source measured it is not on record",)


def test_a_caution_stands_under_the_figure() -> None:
    doubtful = replace(energy("int8", 2.0, "rapl"), cautions=("23 readings", "24 readings", "25 readings"))
    assert only_row(compared(energy("fp32", 4.0, "rapl"), doubtful)).notes == (
        "caution: 23 readings (and 2 others like that)",
    )


def test_trials_without_a_figure_say_why() -> None:
    lacking = replace(energy("int8", None), without_metric=5, unmeasured=("idle power was not measured",))
    assert only_row(compared(energy("fp32", 4.0, "rapl"), lacking)).notes == (
        "5 trials did not measure energy_mj: idle power was not measured",
    )


def test_where_no_trial_has_one_the_devices_reasons_are_the_error() -> None:
    cells = [
        replace(energy(variant, None, device=device), without_metric=5, unmeasured=(reason,))
        for variant in ("fp32", "int8")
        for device, reason in (("desk", "rapl: this user may not read it"), ("pi-03", "the device has no power source"))
    ]
    with pytest.raises(ConfigError) as caught:
        compared(*cells)
    assert str(caught.value.message) == (
        "no trial of run r1 measured 'energy': desk: rapl: this user may not read it; "
        "pi-03: the device has no power source"
    )
    assert caught.value.hint == "known: latency_ns"


def test_the_reasons_of_a_whole_herd_are_counted() -> None:
    cells = [
        replace(energy(variant, None, device=f"pi-{number:02}"), unmeasured=("no source",))
        for number in range(50)
        for variant in ("fp32", "int8")
    ]
    with pytest.raises(ConfigError, match=r"pi-03: no source; and 46 more$"):
        compared(*cells)
