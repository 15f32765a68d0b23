"""The checker objects to histories in which something is wrong, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import Verdict, judge
from tests.chaos.device_logs import Finished
from tests.chaos.evidence import AttemptRow, Evidence, RunDevice, SubmissionRow, TrialRow
from tests.chaos.witness import Sighting

RUN, DEVICE, LOG, MACHINE = "20260101-000000-abcd", "victim", "log-1", "board"
TRIALS = ("j.1", "j.2", "j.3")


def record(position: int, **fields: Any) -> Finished:
    values = {"seq": 2 * position + 4, "trial": TRIALS[position], "outcome": "ok", "number": 100 * position + 99}
    return Finished(DEVICE, RUN, LOG, **{**values, "invalid": False, **fields})


def row(position: int, **fields: Any) -> AttemptRow:
    found = record(position)
    values = {"finished_seq": found.seq, "outcome": "ok", "counted": True, "number": found.number, **fields}
    return AttemptRow(RUN, DEVICE, TRIALS[position], LOG, **values)


def sighting(position: int, **fields: Any) -> Sighting:
    begin_ns = 1_000_000 * position
    values = {"number": record(position).number, "begin_ns": begin_ns, "last_ns": begin_ns + 900_000, "ended": True}
    return Sighting(MACHINE, DEVICE, RUN, TRIALS[position], 4000 + position, **{**values, **fields})


def history(**fields: Any) -> Evidence:
    """Return what a run of three trials leaves if all is well, but for `fields`."""
    positions = range(len(TRIALS))
    whole = Evidence(
        run_devices=[RunDevice(RUN, DEVICE, "complete", None, TRIALS)],
        trials=[TrialRow(RUN, DEVICE, trial, "measured", None) for trial in TRIALS],
        attempts=[row(position) for position in positions],
        finished=[record(position) for position in positions],
        sightings=[sighting(position) for position in positions],
    )
    return replace(whole, **fields)


def wrong(verdict: Verdict) -> dict[str, int]:
    names = ("lost", "doubled", "overlapped", "left_running")
    return {name: len(getattr(verdict, name)) for name in names if getattr(verdict, name)}


def test_a_history_in_which_all_is_well_is_clean() -> None:
    assert wrong(judge(history())) == {}


@pytest.mark.parametrize(
    ("one", "lost"),
    [
        (SubmissionRow(RUN, "ended", None), {}),
        (SubmissionRow(RUN, "waiting", None), {"lost": 1}),
        (SubmissionRow(RUN, "ended", "incomplete: 1 trial"), {"lost": 1}),
        (SubmissionRow("never-begun", "ended", None), {"lost": 1}),
    ],
)
def test_a_submission_has_to_end_and_to_have_had_devices(one: SubmissionRow, lost: dict[str, int]) -> None:
    assert wrong(judge(history(submissions=[one]))) == lost


def test_a_record_that_is_not_in_the_database_is_lost() -> None:
    verdict = judge(history(attempts=[row(0), row(2)]))
    assert wrong(verdict) == {"lost": 2}
    assert "j.2" in verdict.lost[0]
    assert "not in the database" in verdict.lost[0]
    assert "does not count" in verdict.lost[1]


def test_a_trial_that_was_measured_and_does_not_count_is_lost() -> None:
    assert wrong(judge(history(attempts=[row(0), row(1, counted=False), row(2)]))) == {"lost": 1}


def test_a_record_that_was_stored_with_another_trials_values_is_lost() -> None:
    verdict = judge(history(attempts=[row(0), row(1, number=4711), row(2)]))
    assert "other values" in verdict.lost[0]
    assert "nobody saw its process end" in verdict.doubled[0]


def test_a_row_that_is_there_twice_is_doubled() -> None:
    verdict = judge(history(attempts=[row(0), row(1), row(1), row(2)]))
    assert wrong(verdict) == {"doubled": 3}
    assert "counts 2 times" in verdict.doubled[0]
    assert "the trial process with the number 199" in verdict.doubled[1]
    assert "record 6 of log log-1" in verdict.doubled[2]


def test_a_trial_of_which_two_attempts_count_is_doubled() -> None:
    again = record(1, seq=20, number=555)
    evidence = history(
        attempts=[row(0), row(1), row(2), row(1, finished_seq=20, number=555)],
        finished=[record(0), record(1), record(2), again],
        sightings=[sighting(0), sighting(1), sighting(2), sighting(1, number=555, begin_ns=9e6, last_ns=9.5e6)],
    )
    assert wrong(judge(evidence)) == {"doubled": 1}


def test_a_result_that_no_device_wrote_is_doubled() -> None:
    verdict = judge(history(finished=[record(0), record(1)]))
    assert wrong(verdict) == {"doubled": 1}
    assert "in no log" in verdict.doubled[0]


def test_a_result_whose_process_was_never_seen_to_end_is_doubled() -> None:
    assert wrong(judge(history(sightings=[sighting(0), sighting(1), sighting(2, ended=False)]))) == {"doubled": 1}


@pytest.mark.parametrize("state", ["planned", "running", "failed"])
def test_a_trial_without_a_result_and_without_a_reason_is_lost(state: str) -> None:
    trials = [TrialRow(RUN, DEVICE, trial, "measured", None) for trial in TRIALS[:2]]
    evidence = history(
        trials=[*trials, TrialRow(RUN, DEVICE, "j.3", state, None)],
        attempts=[row(0), row(1)], finished=[record(0), record(1)],
    )  # fmt: skip
    assert wrong(judge(evidence)) == {"lost": 1}


def test_a_trial_that_failed_with_a_reason_is_not_lost() -> None:
    trials = [TrialRow(RUN, DEVICE, trial, "measured", None) for trial in TRIALS[:2]]
    evidence = history(
        trials=[*trials, TrialRow(RUN, DEVICE, "j.3", "failed", "killed-by-signal")],
        attempts=[row(0), row(1), row(2, outcome="failed", counted=False, number=None)],
        finished=[record(0), record(1), record(2, outcome="failed", number=None)],
        sightings=[sighting(0), sighting(1), sighting(2, ended=False)],
    )
    assert wrong(judge(evidence)) == {}


def test_a_trial_may_be_missing_where_its_run_was_to_be_cancelled_and_only_there() -> None:
    cancelled = history(
        run_devices=[RunDevice(RUN, DEVICE, "cancelled", None, TRIALS)],
        trials=[
            TrialRow(RUN, DEVICE, trial, state, None)
            for trial, state in zip(TRIALS, ("measured", "planned", "planned"), strict=True)
        ],
        attempts=[row(0)],
        finished=[record(0)],
        sightings=[sighting(0)],
    )
    assert wrong(judge(replace(cancelled, cancelled_runs=[RUN]))) == {}
    assert wrong(judge(cancelled)) == {"lost": 2}


def test_a_plan_that_the_database_has_only_a_part_of_is_a_loss() -> None:
    rows = [TrialRow(RUN, DEVICE, trial, "measured", None) for trial in TRIALS[:2]]
    verdict = judge(history(trials=rows))
    assert wrong(verdict) == {"lost": 1}
    assert "not in both" in verdict.lost[0]


def test_a_device_that_never_had_a_plan_is_a_loss() -> None:
    nothing = Evidence(run_devices=[RunDevice(RUN, DEVICE, "failed", "no route", ())])
    assert wrong(judge(nothing)) == {"lost": 1}


def test_trials_that_ran_at_the_same_time_on_one_device_overlap() -> None:
    late = sighting(1, begin_ns=850_000, last_ns=1_500_000)
    verdict = judge(history(sightings=[sighting(0), late, sighting(2)]))
    assert wrong(verdict) == {"overlapped": 1}
    assert "j.2" in verdict.overlapped[0]
    assert "j.1" in verdict.overlapped[0]


def test_a_long_trial_that_others_ran_within_overlaps_each_of_them() -> None:
    verdict = judge(history(sightings=[sighting(0, last_ns=9_000_000), sighting(1), sighting(2)]))
    assert wrong(verdict) == {"overlapped": 2}


def test_trials_under_two_names_of_one_machine_overlap() -> None:
    other = replace(sighting(0), device="victim-too")
    assert wrong(judge(history(sightings=[sighting(0), sighting(1), sighting(2), other]))) == {"overlapped": 1}


def test_trials_on_two_machines_may_run_at_the_same_time() -> None:
    other = replace(sighting(0), device="bystander", machine="another board")
    assert judge(history(sightings=[sighting(0), sighting(1), sighting(2), other])).overlapped == ()


@pytest.mark.parametrize(
    "left",
    [
        {"left_running": ["victim: process 4711 python -c loader"]},
        {"locked": [DEVICE]},
        {"leases": ["victim held by run x"]},
    ],
)
def test_what_is_left_behind_is_told(left: dict[str, list[str]]) -> None:
    assert wrong(judge(history(**left))) == {"left_running": 1}
