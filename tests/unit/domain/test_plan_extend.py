"""A plan is extended by trials at its end, and the plan before can be read back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from orchestrator.domain.plan.document import canonical, planned_trials
from orchestrator.domain.plan.extend import extend_plan, extensions, planned_per_job
from orchestrator.testing.event_logs import sample_device, sample_model, sample_plan, sample_sweep

PI = sample_device("pi-03")
PLAN = sample_plan(PI, sample_sweep(trials=3), sample_model())
JOBS = [job.key for job in PLAN.jobs]


def plan_before(document: bytes) -> bytes | None:
    """Return the bytes of the plan before the last extension. Return None for a plan as it began."""
    plan = json.loads(document)
    if not plan.get("extends"):
        return None
    last = plan["extends"].pop()
    if not plan["extends"]:
        del plan["extends"]
    del plan["trials"][last["trials"] :]
    return canonical(plan)


def test_the_numbers_of_added_trials_go_on_and_every_cell_comes_once_before_any_comes_twice() -> None:
    extended = extend_plan(PLAN.document, "pi-03", dict.fromkeys(JOBS, 2), 1)
    added = [(trial.job, trial.index) for trial in extended.added]
    assert Counter(job for job, _ in added) == dict.fromkeys(JOBS, 2)
    assert [index for _, index in added] == [4, 4, 5, 5]
    assert extended.first_position == len(PLAN.trials)
    assert planned_trials(extended.document) == {trial.key for trial in (*PLAN.trials, *extended.added)}
    assert planned_per_job(extended.document) == dict.fromkeys(JOBS, 5)
    assert extended.sha256 == hashlib.sha256(extended.document).hexdigest()


def test_only_the_cells_that_were_named_get_trials() -> None:
    extended = extend_plan(PLAN.document, "pi-03", {JOBS[1]: 3}, 1)
    assert [trial.job for trial in extended.added] == [JOBS[1]] * 3
    assert planned_per_job(extended.document) == {JOBS[0]: 3, JOBS[1]: 6}


def test_every_plan_before_can_be_read_back_byte_for_byte() -> None:
    once = extend_plan(PLAN.document, "pi-03", dict.fromkeys(JOBS, 1), 1)
    twice = extend_plan(once.document, "pi-03", {JOBS[0]: 2}, 2)
    assert plan_before(twice.document) == once.document
    assert plan_before(once.document) == PLAN.document
    assert plan_before(PLAN.document) is None
    assert extensions(PLAN.document) == ()
    first, second = extensions(twice.document)
    assert (first.number, first.extended_sha256, len(first.added)) == (1, PLAN.sha256, 2)
    assert (second.number, second.extended_sha256) == (2, once.sha256)
    assert second.added == tuple(trial.key for trial in twice.added)


def test_a_plan_of_an_older_release_is_extended_as_it_is() -> None:
    """The first releases wrote no retries, and may have written keys of their own."""
    old = json.loads(PLAN.document)
    del old["retries"]
    old["of_old"] = 1
    written = json.dumps(old, sort_keys=True, separators=(",", ":")).encode()
    extended = extend_plan(written, "pi-03", {JOBS[0]: 1}, 1)
    assert json.loads(extended.document)["of_old"] == 1
    assert plan_before(extended.document) == written


@pytest.mark.parametrize("count", [1, 4])
def test_equal_inputs_give_equal_bytes(count: int) -> None:
    more = dict.fromkeys(JOBS, count)
    again = dict(reversed(more.items()))
    assert extend_plan(PLAN.document, "pi-03", more, 1) == extend_plan(PLAN.document, "pi-03", again, 1)
