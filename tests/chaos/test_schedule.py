"""Schedules are seeded, leave nothing out, and can be told which history to repeat."""

from __future__ import annotations

from itertools import islice

from tests.chaos.schedule import Fault, Phase, Rival, case_at, cases, combinations


def test_the_same_seed_makes_the_same_histories_and_another_one_others() -> None:
    assert list(islice(cases(7), 300)) == list(islice(cases(7), 300))
    assert list(islice(cases(7), 300)) != list(islice(cases(8), 300))


def test_a_history_can_be_had_again_by_its_number_alone() -> None:
    for case in islice(cases(7, frozenset({Fault.DISK_FULL})), 150, 153):
        assert case_at(7, case.index) == case
        assert case.chances().random() == case_at(7, case.index).chances().random()


def test_three_hundred_histories_have_every_combination_and_every_rival() -> None:
    found = list(islice(cases(7), 300))
    assert {(case.phase, case.fault) for case in found} >= {
        pair for pair in combinations() if pair[1] is not Fault.GATEWAY_KILLED
    }
    assert {case.fault for case in found} == set(Fault)
    assert {case.rival for case in found} == set(Rival)


def test_the_first_few_histories_have_every_fault_and_every_phase() -> None:
    found = list(islice(cases(7), 30))
    assert {case.fault for case in found} >= set(Fault) - {Fault.GATEWAY_KILLED}
    assert {case.phase for case in found} == set(Phase)


def test_what_cannot_be_injected_is_left_out_and_nothing_else_changes() -> None:
    whole = list(islice(cases(7), 100))
    part = list(islice(cases(7, frozenset({Fault.DISK_FULL})), 80))
    assert part == [case for case in whole if case.fault is not Fault.DISK_FULL][:80]


def test_a_runner_is_only_killed_where_there_is_one() -> None:
    phases = {phase for phase, fault in combinations() if fault is Fault.RUNNER_KILLED}
    assert phases.isdisjoint({Phase.CONNECT, Phase.BLOB_UPLOAD, Phase.ACKNOWLEDGE, Phase.TRIM})
