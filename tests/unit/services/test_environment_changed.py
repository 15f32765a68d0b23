"""The same bytes never regress by the build: the device or its environment has changed, and the comparison says so."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestrator.domain.build import Build, Environment, environment_difference
from orchestrator.domain.comparison import Comparison, ComparisonRow, Verdict
from orchestrator.domain.facts import Facts
from orchestrator.domain.gate import GateKind, GateTerms
from orchestrator.domain.measurement import CellResult
from orchestrator.reporting.reports.comparison import comparison_report
from orchestrator.services.results.compare import CompareOptions, compare, compare_runs
from tests.unit.reporting.rendering import drawn
from tests.unit.services.cell_results import FakeResults, only_row, result

BUILD = Build("a" * 64, "b" * 64, "c" * 64)
FACTS = {"kernel": "6.1.21", "governor": "performance", "cpu_count": 4, "system_runtimes": {"tflite": ["2.5"]}}


def environment(**changed: object) -> Environment:
    facts = Facts({**FACTS, **changed})
    return Environment(facts.identity_hash, facts.environment_hash, facts.values)


OLD, NEW = environment(), environment(kernel="6.6.31")
BEFORE = replace(result("fp32", 40_000.0), builds=(BUILD,), environments=(OLD,))


def after(factor: float, *environments: Environment, build: Build = BUILD) -> CellResult:
    return replace(
        BEFORE,
        cell=replace(BEFORE.cell, run="r2"),
        trial_values=tuple(value * factor for value in BEFORE.trial_values),
        environments=environments,
        builds=(build,),
    )


def over_time(other: CellResult, base: CellResult = BEFORE, **terms: bool) -> Comparison:
    return compare_runs(FakeResults([base, other]), "r2", "r1", CompareOptions(terms=GateTerms(**terms)))


@pytest.mark.parametrize("factor", [1.5, 0.7])
def test_another_kernel_is_named_and_no_gate_fails(factor: float) -> None:
    comparison = over_time(after(factor, NEW))
    row = only_row(comparison)
    assert (row.verdict, row.word) == (Verdict.ENVIRONMENT_CHANGED, "environment changed")
    assert row.notes[0] == "kernel 6.1.21 -> 6.6.31: the same artifact, runtime and worker on both sides"
    assert comparison.reasons == ()
    (warning,) = comparison.warnings
    assert warning.kind is GateKind.ENVIRONMENT_CHANGED
    assert "kernel 6.1.21 -> 6.6.31" in str(warning)
    assert warning.text.startswith(f"latency_ns environment changed: ratio {factor:.4g}")


@pytest.mark.long
def test_a_device_with_thousands_of_facts_costs_a_comparison_no_minutes() -> None:
    """A hostile device: facts may have 20,000 values, and every comparison of its runs reads them."""

    def many(version: str) -> Environment:
        return environment(system_runtimes={f"engine{number}": [version] for number in range(15_000)})

    begin_s = time.process_time()
    changes = environment_difference((many("1"),), (many("2"),))
    assert time.process_time() - begin_s < 5
    assert len(changes) < 100
    assert changes[0] == 'system_runtimes.engine0 ["1"] -> ["2"]'
    assert changes[-1] == f"{15_000 - len(changes) + 1} facts more"


def test_who_asks_for_the_same_environment_fails() -> None:
    comparison = over_time(after(1.5, NEW), needs_environment=True)
    assert comparison.warnings == ()
    (reason,) = comparison.reasons
    assert (reason.kind, "kernel 6.1.21 -> 6.6.31" in reason.text) == (GateKind.ENVIRONMENT_CHANGED, True)
    assert over_time(after(1.0, NEW), needs_environment=True).reasons == (), "nothing differs but the kernel"


def test_the_same_bytes_in_the_same_environment_point_at_the_device() -> None:
    comparison = over_time(after(1.5, OLD))
    row = only_row(comparison)
    assert row.verdict is Verdict.ENVIRONMENT_CHANGED
    assert "no recorded fact of the device differs: look at the device" in row.notes[0]
    assert comparison.reasons == ()
    assert len(comparison.warnings) == 1


@pytest.mark.parametrize("part", ["artifact_sha256", "runtime_sha256", "worker_sha256"])
def test_other_bytes_regress_also_in_another_environment(part: str) -> None:
    comparison = over_time(after(1.5, NEW, build=replace(BUILD, **{part: "d" * 64})))
    row = only_row(comparison)
    assert row.verdict is Verdict.REGRESSED
    assert row.notes[0] == "the environment changed as well as the build: kernel 6.1.21 -> 6.6.31"
    assert [reason.kind for reason in comparison.reasons] == [GateKind.REGRESSED]
    assert comparison.warnings == ()


CHANGED = replace(BUILD, artifact_sha256="d" * 64)


def beside(factors: list[float], own: float, build: Build = CHANGED, **terms: bool) -> Comparison:
    """Compare a cell of another build, beside cells of the same bytes that have become slower by `factors`."""
    cells = [BEFORE, after(own, OLD, build=build)]
    for place, factor in enumerate(factors):
        for one, values in ((BEFORE, BEFORE), (after(factor, OLD), after(factor, OLD))):
            cells.append(replace(values, cell=replace(one.cell, variant=f"unchanged-{place}")))
    return compare_runs(FakeResults(cells), "r2", "r1", CompareOptions(terms=GateTerms(**terms)))


def row_of(comparison: Comparison) -> ComparisonRow:
    (row,) = [group.rows[0] for group in comparison.groups if group.fixed["variant"] == BEFORE.cell.variant]
    return row


@pytest.mark.parametrize("own", [1.2, 1.3, 1.0])
def test_a_device_that_has_moved_as_far_is_blamed_in_place_of_another_build(own: float) -> None:
    """Equal values too: on a device that became slower, they may be those of a build that became faster."""
    comparison = beside([1.24, 1.26, 1.25], own)
    row = row_of(comparison)
    assert row.verdict is Verdict.ENVIRONMENT_CHANGED
    assert row.notes[0].endswith(
        "itself has moved: x1.25 in the median of 3 cells of the same bytes, 3 of them clearly; "
        "this is no more than that: measure both builds in one run"
    )
    assert comparison.reasons == ()
    assert len(comparison.warnings) == 4
    asked = beside([1.24, 1.26, 1.25], own, needs_environment=True)
    assert {reason.kind for reason in asked.reasons} == {GateKind.ENVIRONMENT_CHANGED}
    assert len(asked.reasons) == 4


def test_another_build_regresses_by_more_than_the_device_has_moved() -> None:
    comparison = beside([1.24, 1.26, 1.25], 2.5)
    row = row_of(comparison)
    assert row.verdict is Verdict.REGRESSED
    assert row.notes[0].endswith("x1.25 in the median of 3 cells of the same bytes, 3 of them clearly")
    assert [reason.kind for reason in comparison.reasons] == [GateKind.REGRESSED]


@pytest.mark.parametrize("factors", [[], [1.0, 1.001], [1.3, 1.0, 1.0, 1.0, 1.0]])
def test_another_build_is_judged_as_ever_where_the_device_has_not_moved(factors: list[float]) -> None:
    row = row_of(beside(factors, 1.05))
    assert (row.verdict, row.notes) == (Verdict.REGRESSED, ())
    assert row_of(beside(factors, 1.0)).verdict is Verdict.EQUIVALENT


def test_a_device_is_not_blamed_for_another_ones_movement() -> None:
    cells = [BEFORE, after(1.25, OLD, build=CHANGED)]
    elsewhere = [replace(one, cell=replace(one.cell, device="nano")) for one in (BEFORE, after(1.25, OLD))]
    comparison = compare_runs(FakeResults([*cells, *elsewhere]), "r2", "r1", CompareOptions())
    assert {group.device: group.rows[0].verdict for group in comparison.groups} == {
        BEFORE.cell.device: Verdict.REGRESSED,
        "nano": Verdict.ENVIRONMENT_CHANGED,
    }


def test_several_builds_on_a_side_and_unknown_builds_are_not_the_same_bytes() -> None:
    mixed = replace(after(1.5, NEW), builds=(BUILD, replace(BUILD, worker_sha256="d" * 64)))
    assert only_row(over_time(mixed)).verdict is Verdict.REGRESSED
    assert only_row(over_time(mixed, replace(BEFORE, builds=mixed.builds))).verdict is Verdict.REGRESSED
    unknown = only_row(over_time(replace(after(1.5, NEW), builds=()), replace(BEFORE, builds=())))
    assert (unknown.verdict, unknown.notes[0]) == (
        Verdict.REGRESSED,
        "the environment changed: kernel 6.1.21 -> 6.6.31",
    )


def test_a_run_across_an_upgrade_has_both_environments() -> None:
    row = only_row(over_time(after(1.5, OLD, NEW)))
    assert row.notes[0].startswith("kernel 6.1.21 -> 6.1.21 and 6.6.31: ")


def test_variants_of_a_run_across_an_upgrade_say_that_its_trials_are_not_alike() -> None:
    """Such as one that trials were added to after the upgrade."""
    sides = [replace(result(variant, 40_000.0), environments=(OLD, NEW)) for variant in ("fp32", "int8")]
    (group,) = compare(FakeResults(sides), "r1", "variant", "fp32").groups
    said = "the environment changed while the run was under way, so that its trials are not alike: "
    assert group.notes == (said + "kernel 6.1.21 -> 6.6.31",)
    alike = [replace(side, environments=(OLD,)) for side in sides]
    assert compare(FakeResults(alike), "r1", "variant", "fp32").groups[0].notes == ()


def test_unknown_facts_of_a_side_are_said_to_be_unknown() -> None:
    row = only_row(over_time(after(1.5)))
    assert row.verdict is Verdict.ENVIRONMENT_CHANGED
    assert "facts of a side are not on record" in row.notes[0]


def test_a_change_that_made_no_difference_is_a_note() -> None:
    row = only_row(over_time(after(1.0, NEW)))
    assert (row.verdict, row.notes[0]) == (Verdict.EQUIVALENT, "the environment changed: kernel 6.1.21 -> 6.6.31")
    assert only_row(over_time(after(1.0, OLD))).notes == ()


def test_every_kind_of_fact_is_printed() -> None:
    changed = environment(governor=None, cpu_count=2, system_runtimes={"tflite": ["2.5"], "onnxruntime": ["1.20"]})
    assert (
        only_row(over_time(after(1.5, changed)))
        .notes[0]
        .startswith(
            'cpu_count 4 -> 2, governor performance -> unknown, system_runtimes.onnxruntime unknown -> ["1.20"]: '
        )
    )


def test_hashes_that_differ_by_no_visible_fact_are_shown() -> None:
    odd = replace(OLD, environment_hash="f" * 16)
    assert f"environment hash {OLD.environment_hash} -> {'f' * 16}" in only_row(over_time(after(1.5, odd))).notes[0]


def test_different_things_stay_slower_and_faster() -> None:
    other = replace(BEFORE, cell=replace(BEFORE.cell, settings={"threads": 2}))
    slower = replace(other, trial_values=tuple(value * 1.5 for value in BEFORE.trial_values))
    row = only_row(compare(FakeResults([BEFORE, slower]), "r1", "threads", "1"))
    assert (row.verdict, row.word) == (Verdict.REGRESSED, "slower")


def test_people_read_the_warning() -> None:
    text = drawn(comparison_report(over_time(after(1.5, NEW))).draw())
    assert "Warning (environment-changed): not shown to be the build, and no reason to fail:" in text
    assert "Reasons to fail" not in text
