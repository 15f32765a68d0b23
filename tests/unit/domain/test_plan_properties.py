"""What holds for the plan of any sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_worker.protocol.plan import Plan as WorkerPlan
from orchestrator.domain.expansion import expand
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import PlanInputs
from orchestrator.domain.sweep import Order, Retries, Sweep
from tests.effort import examples
from tests.unit.domain.plan_documents import document, measured
from tests.unit.domain.planning import NEW, OLD, PROGRAM, SWEEP, SYSTEM, inputs

SWEEPS = st.builds(
    Sweep,
    name=st.just("drawn"),
    model=st.just("/models/digits"),
    variants=st.lists(st.sampled_from(["fp32", "fp16", "int8"]), min_size=1, unique=True).map(tuple),
    runtimes=st.lists(st.sampled_from([OLD, NEW, SYSTEM, PROGRAM]), min_size=1, unique=True).map(tuple),
    matrix=st.fixed_dictionaries(
        {},
        optional={
            "threads": st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True).map(tuple),
            "cpus": st.lists(st.sampled_from(["0", "0-1", "2-5"]), min_size=1, unique=True).map(tuple),
        },
    ),
    exclude=st.lists(
        st.dictionaries(
            st.sampled_from(["variant", "runtime", "device"]),
            st.sampled_from(["int8", "*", "exec/*", "fp*"]),
            min_size=1,
        ),
        max_size=2,
    ).map(tuple),
    trials=st.integers(1, 4),
    accuracy=st.none() | st.just(SWEEP.accuracy),
    order=st.builds(Order, st.booleans(), st.integers(0, 2**63 - 1)),
    retries=st.builds(Retries, st.integers(0, 3), st.integers(0, 3)),
)


INPUTS = st.builds(
    inputs, SWEEPS, facts=st.sampled_from([Facts({}), Facts({"cpu_count": 2}), Facts({"cpu_count": 64})])
)


@given(INPUTS)
def test_every_cell_is_measured_so_often_or_excluded_with_a_reason(given_inputs: PlanInputs) -> None:
    plan = plan_device(given_inputs)
    sweep = given_inputs.sweep
    labels = Counter([job.label for job in plan.jobs] + [excluded.label for excluded in plan.excluded])
    assert labels == Counter(cell.label for cell in expand(sweep))
    assert set(labels.values()) == {1}
    assert all(excluded.reason for excluded in plan.excluded)
    assert Counter(measured(plan)) == {job.key: sweep.trials for job in plan.jobs}
    assert len({trial.key for trial in plan.trials}) == len(plan.trials)


@given(INPUTS)
def test_interleaved_each_repeat_has_each_job_once(given_inputs: PlanInputs) -> None:
    plan = plan_device(replace(given_inputs, sweep=replace(given_inputs.sweep, order=Order(True, 3))))
    keys, order = sorted(job.key for job in plan.jobs), measured(plan)
    for repeat in range(given_inputs.sweep.trials):
        assert sorted(order[repeat * len(keys) : (repeat + 1) * len(keys)]) == keys


@given(INPUTS)
def test_the_worker_takes_every_plan_and_finds_its_blobs_in_it(given_inputs: PlanInputs) -> None:
    plan = plan_device(given_inputs)
    content = document(plan)
    WorkerPlan.parse(plan.document)
    needed = {sha for job in content["jobs"] for sha in job["python_path"]}
    for job in content["jobs"]:
        needed |= {file["sha256"] for file in (job["model"], job["dataset"], *job["files"]) if file}
    listed = [blob["sha256"] for blob in content["blobs"]]
    assert listed == sorted(needed)
    assert [blob.sha256 for blob in plan.blobs] == listed


@given(INPUTS)
def test_the_same_inputs_give_the_same_bytes(given_inputs: PlanInputs) -> None:
    again = replace(
        given_inputs,
        offers=tuple(reversed(given_inputs.offers)),
        files=dict(reversed(list(given_inputs.files.items()))),
    )
    assert plan_device(given_inputs).document == plan_device(again).document


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=examples(30))
def test_another_seed_gives_another_order_of_the_same_trials(one: int, other: int) -> None:
    plans = [
        plan_device(inputs(replace(SWEEP, variants=("fp32", "fp16", "int8"), order=Order(seed=seed))))
        for seed in (one, other)
    ]
    assert sorted(trial.key for trial in plans[0].trials) == sorted(trial.key for trial in plans[1].trials)
    assert (plans[0].trials == plans[1].trials) == (one == other)


def test_over_many_seeds_each_job_comes_first_about_equally_often() -> None:
    firsts = Counter(
        measured(plan_device(inputs(replace(SWEEP, trials=1, matrix={}, order=Order(seed=seed)))))[0]
        for seed in range(400)
    )
    assert len(firsts) == 4
    assert all(70 < count < 130 for count in firsts.values()), firsts


PRINT_HASH = """
from orchestrator.domain.plan.compose import plan_device
from tests.unit.domain.planning import inputs
print(plan_device(inputs()).sha256)
"""


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_bytes_do_not_depend_on_the_interpreters_hash_seed(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_HASH], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == plan_device(inputs()).sha256
