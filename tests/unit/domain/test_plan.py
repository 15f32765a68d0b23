from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_worker.plan import Plan as WorkerPlan
from device_worker.protocol import PROTOCOL_VERSION
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device, Limits
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.expansion import expand
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import (
    PLAN_PROTOCOL,
    DevicePlan,
    PlanInputs,
    RuntimeOffer,
    TrialKind,
    files_needed,
    plan_device,
)
from orchestrator.domain.sweep import MeasurePolicy, Order, Retries, Setting, Sweep
from tests.effort import examples
from tests.unit.domain.planning import DEVICE, MODEL, NEW, OLD, PROGRAM, SWEEP, SYSTEM, inputs, offer, sha256


def document(plan: DevicePlan) -> dict[str, Any]:
    content = json.loads(plan.document)
    assert isinstance(content, dict)
    return content


def reasons(plan: DevicePlan) -> dict[str, str]:
    return {excluded.label: excluded.reason for excluded in plan.excluded}


def measured(plan: DevicePlan) -> list[str]:
    return [trial.job for trial in plan.trials if trial.kind is TrialKind.MEASURE]


def test_the_plan_speaks_the_workers_protocol() -> None:
    assert PLAN_PROTOCOL == PROTOCOL_VERSION


def test_the_document_is_what_the_protocol_describes() -> None:
    sweep = replace(SWEEP, variants=("int8",), runtimes=(OLD,), matrix={"threads": (1,)}, trials=1)
    device = replace(DEVICE, limits=Limits(temperature_c_max=75, memory_bytes_max=1 << 30))
    plan = plan_device(inputs(sweep, device=device))
    key = plan.jobs[0].key
    model = {
        "name": "digits-int8.tflite",
        "sha256": sha256("/models/digits/digits-int8.tflite"),
        "size": len("/models/digits/digits-int8.tflite"),
    }
    dataset = {"name": "test.npz", "sha256": sha256("/models/digits/test.npz"), "size": len("/models/digits/test.npz")}
    bundle = {"sha256": sha256(OLD.label), "size": 1000}
    assert document(plan) == {
        "protocol": 1,
        "device": "pi-03",
        "sweep": "quick",
        "seed": 7,
        "jobs": [
            {
                "job": key,
                "label": "int8 · tflite-runtime==2.14.0 · threads=1",
                "variant": "int8",
                "runtime": "tflite-runtime==2.14.0",
                "engine": "tflite",
                "module": "tflite_runtime.interpreter",
                "settings": {"threads": 1},
                "python_path": [bundle["sha256"]],
                "command": None,
                "model": model,
                "files": [],
                "input": {"low": 0.0, "high": 1.0},
                "dataset": dataset,
                "accuracy_metric": "top1",
            }
        ],
        "trials": [
            {"trial": f"{key}.0", "job": key, "kind": "preflight", "index": 0},
            {"trial": f"{key}.1", "job": key, "kind": "measure", "index": 1},
        ],
        "measure": {
            "warmup_runs_min": 5,
            "warmup_seconds_min": 0.3,
            "runs_min": 50,
            "seconds_min": 1.0,
            "seconds_max": 20.0,
            "runs_max": 1_000_000,
        },
        "limits": {
            "trial_timeout_s": 120.0,
            "temperature_c_max": 75.0,
            "memory_bytes_max": 1 << 30,
            "cooldown_s_max": 120.0,
        },
        "retries": {"failed": 0, "invalid": 1},
        "blobs": sorted(
            [
                {**bundle, "kind": "bundle"},
                {"sha256": model["sha256"], "size": model["size"], "kind": "model"},
                {"sha256": dataset["sha256"], "size": dataset["size"], "kind": "dataset"},
            ],
            key=lambda blob: str(blob["sha256"]),
        ),
    }


def test_the_bytes_are_canonical_and_named_by_their_hash() -> None:
    plan = plan_device(inputs())
    canonical = json.dumps(document(plan), sort_keys=True, separators=(",", ":")).encode()
    assert plan.document == canonical
    assert plan.sha256 == sha256(canonical.decode())


def test_a_known_plan_keeps_its_bytes() -> None:
    """A change of this hash is a change of every job's identity or order: histories would fall apart."""
    plan = plan_device(inputs())
    assert plan.sha256 == "18b00b310e0ce8143eedcd71ced48680e9ce1cc3dfad4689d343124cb00f67fc"
    assert [job.key for job in plan.jobs[:2]] == ["dcb1875ac6b4", "432ad2f7e557"]


def test_the_worker_takes_the_plan() -> None:
    sweep = replace(SWEEP, runtimes=(OLD, SYSTEM, PROGRAM))
    assert len(WorkerPlan.parse(plan_device(inputs(sweep)).document).trials) == 8 + 12 * 3


def test_an_exec_job_has_its_command_and_files_but_no_preflight() -> None:
    plan = plan_device(inputs(replace(SWEEP, variants=("fp32",), runtimes=(PROGRAM,), matrix={"mode": ("fast",)})))
    (job,) = document(plan)["jobs"]
    assert (job["engine"], job["module"], job["python_path"]) == ("exec", None, [])
    assert job["command"] == ["sh", "bench.sh", "-v"]
    assert [(file["name"], file["sha256"]) for file in job["files"]] == [
        ("bench.sh", sha256("/sweeps/bench.sh")),
        ("x.bin", sha256("/sweeps/data/x.bin")),
    ]
    assert [trial.kind for trial in plan.trials] == [TrialKind.MEASURE] * 3
    assert [trial.index for trial in plan.trials] == [1, 2, 3]
    assert {blob.kind for blob in plan.blobs} == {BlobKind.MODEL, BlobKind.DATASET, BlobKind.FILE}


@pytest.mark.parametrize(
    ("runtime", "engine", "module"),
    [
        (OLD, "tflite", "tflite_runtime.interpreter"),
        (NEW, "tflite", "ai_edge_litert.interpreter"),
        (SYSTEM, "tflite", "auto"),
        (PROGRAM, "exec", None),
    ],
)
def test_each_runtime_has_its_engine(runtime: Any, engine: str, module: str | None) -> None:
    (job,) = document(plan_device(inputs(replace(SWEEP, variants=("fp32",), runtimes=(runtime,), matrix={}))))["jobs"]
    assert (job["engine"], job["module"]) == (engine, module)


def test_preflights_come_first_in_the_order_of_the_jobs() -> None:
    plan = plan_device(inputs())
    count = len(plan.jobs)
    assert [trial.job for trial in plan.trials[:count]] == [job.key for job in plan.jobs]
    assert {trial.kind for trial in plan.trials[:count]} == {TrialKind.PREFLIGHT}
    assert {trial.kind for trial in plan.trials[count:]} == {TrialKind.MEASURE}


def test_without_interleaving_a_job_is_finished_before_the_next_begins() -> None:
    plan = plan_device(inputs(replace(SWEEP, order=Order(interleave=False))))
    assert measured(plan) == [job.key for job in plan.jobs for _ in range(3)]


def test_a_job_is_the_same_in_every_sweep_that_has_it() -> None:
    few = plan_device(
        inputs(replace(SWEEP, name="other", variants=("int8",), trials=9, order=Order(seed=8), accuracy=None))
    )
    many = plan_device(inputs())
    assert {job.key for job in few.jobs} < {job.key for job in many.jobs}


@pytest.mark.parametrize(
    "changed",
    [
        {"device": replace(DEVICE, name="pi-04")},
        {"model": replace(MODEL, name="other")},
        {"sweep": replace(SWEEP, matrix={"threads": (1,), "cpus": ("0",)})},
        {"sweep": replace(SWEEP, matrix={"threads": (3,)})},
    ],
)
def test_another_device_model_or_setting_is_another_job(changed: dict[str, Any]) -> None:
    before = {job.key for job in plan_device(inputs()).jobs}
    assert before.isdisjoint(job.key for job in plan_device(inputs(**changed)).jobs)


def test_devices_run_in_different_orders() -> None:
    def labels(device: Device) -> list[str]:
        plan = plan_device(inputs(device=device))
        names = {job.key: job.label for job in plan.jobs}
        return [names[key] for key in measured(plan)]

    assert labels(DEVICE) != labels(replace(DEVICE, name="pi-04"))
    assert sorted(labels(DEVICE)) == sorted(labels(replace(DEVICE, name="pi-04")))


def test_a_rule_excludes_what_it_fits_and_is_named() -> None:
    sweep = replace(
        SWEEP, exclude=({"variant": "int8", "runtime": "tflite-runtime*"}, {"device": "pi-*", "threads": 2})
    )
    plan = plan_device(inputs(sweep))
    assert [job.label for job in plan.jobs] == [
        "fp32 · tflite-runtime==2.14.0 · threads=1",
        "fp32 · ai-edge-litert==2.3.0 · threads=1",
        "int8 · ai-edge-litert==2.3.0 · threads=1",
    ]
    assert reasons(plan)["int8 · tflite-runtime==2.14.0 · threads=2"] == (
        "exclude rule 1 of the sweep (variant: int8, runtime: tflite-runtime*)"
    )
    assert reasons(plan)["fp32 · ai-edge-litert==2.3.0 · threads=2"] == (
        "exclude rule 2 of the sweep (device: pi-*, threads: 2)"
    )


def test_a_runtime_that_cannot_be_had_is_excluded_for_its_own_reason() -> None:
    offers = (offer(OLD), RuntimeOffer(NEW, unavailable="no wheel of ai-edge-litert 2.3.0 for armv7l, Python 3.11"))
    plan = plan_device(inputs(offers=offers))
    assert {job.runtime for job in plan.jobs} == {OLD}
    assert set(reasons(plan).values()) == {"no wheel of ai-edge-litert 2.3.0 for armv7l, Python 3.11"}


@pytest.mark.parametrize(
    ("matrix", "facts", "reason"),
    [
        ({"threads": (8,)}, {"cpu_count": 4}, "8 threads on a device of 4 processors"),
        ({"threads": (2,)}, {"cpu_count": 1}, "2 threads on a device of 1 processor"),
        ({"cpus": ("2-5",)}, {"cpu_count": 4}, "cpus=2-5 on a device of 4 processors"),
        ({"threads": (4,), "cpus": ("0-1",)}, {"cpu_count": 4}, "4 threads pinned to 2 processors (cpus=0-1)"),
        ({"threads": (4,), "cpus": ("0-1",)}, {}, "4 threads pinned to 2 processors (cpus=0-1)"),
        ({"threads": (8,)}, {}, None),
        ({"cpus": ("63",)}, {"cpu_count": None}, None),
        ({"threads": (4,), "cpus": ("0-3",)}, {"cpu_count": 4}, None),
    ],
)
def test_what_the_processors_cannot_do_is_excluded(
    matrix: dict[str, tuple[Setting, ...]], facts: dict[str, Any], reason: str | None
) -> None:
    plan = plan_device(inputs(replace(SWEEP, matrix=matrix), facts=Facts(facts)))
    assert set(reasons(plan).values()) == ({reason} if reason else set())


@pytest.mark.parametrize(
    ("facts", "runs"),
    [
        ({}, True),
        ({"system_runtimes": {"tflite": ["tflite_runtime"]}}, True),
        ({"system_runtimes": {"tflite": []}}, False),
    ],
)
def test_a_system_runtime_is_excluded_where_the_device_says_that_it_has_none(facts: dict[str, Any], runs: bool) -> None:
    plan = plan_device(inputs(replace(SWEEP, runtimes=(SYSTEM,)), facts=Facts(facts)))
    assert bool(plan.jobs) is runs
    assert set(reasons(plan).values()) == (set() if runs else {"the device has no tflite runtime of its own"})


def test_a_device_that_can_run_nothing_has_an_empty_plan() -> None:
    plan = plan_device(inputs(replace(SWEEP, exclude=({"device": "*"},))))
    assert (plan.jobs, plan.trials, plan.blobs, plan.estimate_s) == ((), (), (), 0.0)
    assert len(plan.excluded) == 8
    assert WorkerPlan.parse(plan.document).trials == []


def test_excluded_cells_send_no_files() -> None:
    plan = plan_device(inputs(replace(SWEEP, exclude=({"variant": "int8"}, {"runtime": NEW.label}))))
    assert sorted(blob.name for blob in plan.blobs) == ["digits-fp32.tflite", "test.npz", "tflite-runtime==2.14.0"]


def test_a_devices_own_timeout_comes_before_the_sweeps() -> None:
    def timeout(limits: Limits) -> Any:
        plan = plan_device(inputs(replace(SWEEP, trial_timeout_s=60), device=replace(DEVICE, limits=limits)))
        return document(plan)["limits"]["trial_timeout_s"]

    assert timeout(Limits()) == 60.0
    assert timeout(Limits(trial_timeout_s=600)) == 600.0


def test_whole_numbers_and_fractions_give_the_same_bytes() -> None:
    whole = replace(SWEEP, measure=MeasurePolicy(seconds_min=1, seconds_max=20), trial_timeout_s=60)
    fractions = replace(SWEEP, measure=MeasurePolicy(seconds_min=1.0, seconds_max=20.0), trial_timeout_s=60.0)
    assert plan_device(inputs(whole)).document == plan_device(inputs(fractions)).document


def test_the_estimate_grows_with_trials_and_with_their_length() -> None:
    base = plan_device(inputs()).estimate_s
    longer = plan_device(inputs(replace(SWEEP, measure=MeasurePolicy(seconds_min=3.0)))).estimate_s
    assert longer - base == pytest.approx(24 * 2.0)
    assert plan_device(inputs(replace(SWEEP, trials=6))).estimate_s > base


def test_a_file_that_is_not_what_the_model_says_is_refused() -> None:
    path = MODEL.variants["int8"].path
    changed = {**inputs().files, path: Blob(sha256("else"), 4, BlobKind.MODEL, "digits-int8.tflite")}
    with pytest.raises(BlobError, match=sha256("else")) as caught:
        plan_device(inputs(files=changed))
    assert sha256(path) in caught.value.message
    assert caught.value.hint == "benchfleet models verify /models/digits"


def test_a_file_or_a_runtime_that_nobody_looked_at_is_refused() -> None:
    with pytest.raises(BlobError, match=r"digits-fp32.tflite: nobody has read"):
        plan_device(inputs(files={}))
    with pytest.raises(BlobError, match="pi-03: nobody resolved tflite-runtime"):
        plan_device(inputs(offers=()))


def test_names_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="no variant 'int9'") as caught:
        files_needed(replace(SWEEP, variants=("int9",)), MODEL)
    assert caught.value.hint == "did you mean 'int8'?"


def test_the_files_of_a_sweep_are_its_variants_its_data_and_its_programs() -> None:
    assert files_needed(replace(SWEEP, runtimes=(PROGRAM, OLD)), MODEL) == {
        "/models/digits/digits-fp32.tflite": BlobKind.MODEL,
        "/models/digits/digits-int8.tflite": BlobKind.MODEL,
        "/models/digits/test.npz": BlobKind.DATASET,
        "/sweeps/bench.sh": BlobKind.FILE,
        "/sweeps/data/x.bin": BlobKind.FILE,
    }


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
from orchestrator.domain.plan import plan_device
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


def test_the_grid_is_expanded_in_the_order_of_the_file() -> None:
    labels = [cell.label for cell in expand(SWEEP)]
    expected = [
        f"{variant} · {runtime.label} · threads={threads}"
        for variant, runtime, threads in product(SWEEP.variants, SWEEP.runtimes, (1, 2))
    ]
    assert labels == expected


@pytest.mark.parametrize(
    ("rule", "settings_", "fits"),
    [
        ({"threads": 2}, {"threads": 2}, True),
        ({"threads": 2}, {"threads": 4}, False),
        ({"threads": "2"}, {"threads": 2}, True),
        ({"threads": "[24]"}, {"threads": 4}, True),
        ({"load": 1}, {"load": 1.0}, True),
        ({"load": 1}, {"load": True}, False),
        ({"check": True}, {"check": True}, True),
        ({"check": "true"}, {"check": True}, True),
        ({"check": True}, {"check": 1}, False),
        ({"cpus": 0}, {"cpus": "0"}, True),
        ({"mode": "f*"}, {"mode": "fast"}, True),
        ({"mode": "F*"}, {"mode": "fast"}, False),
        ({"threads": 2, "mode": "slow"}, {"threads": 2, "mode": "fast"}, False),
    ],
)
def test_a_rule_compares_settings_as_they_are_written(
    rule: dict[str, Setting], settings_: dict[str, Setting], fits: bool
) -> None:
    matrix = {key: (value,) for key, value in settings_.items()}
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(PROGRAM,), matrix=matrix, exclude=(rule,))
    assert bool(plan_device(inputs(sweep)).excluded) is fits
