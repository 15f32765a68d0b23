from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.plan import Plan as WorkerPlan
from device_worker.sensing.conditions.table import CONDITIONS
from orchestrator.domain.blob import BlobKind
from orchestrator.domain.device import CONDITION_LIMITS, GOVERNOR_LIMIT, Device, Limits
from orchestrator.domain.expansion import expand
from orchestrator.domain.model import ModelInput, ModelOutput, StatePolicy
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.document import PLAN_PROTOCOL, ShippedInput, canonical, narrowed_plan, planned_jobs
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.sweep import MeasurePolicy, Order
from tests.unit.domain.plan_documents import document, measured
from tests.unit.domain.planning import DEVICE, MODEL, NEW, OLD, PROGRAM, SWEEP, SYSTEM, inputs, sha256


def test_the_plan_speaks_the_workers_protocol() -> None:
    assert PLAN_PROTOCOL == PROTOCOL_VERSION


def test_profiles_come_last_once_a_cell_and_are_absent_unless_asked_for() -> None:
    plain, profiled = plan_device(inputs(SWEEP)), plan_device(inputs(replace(SWEEP, profile="operators")))
    added = profiled.trials[len(plain.trials) :]
    assert profiled.trials[: len(plain.trials)] == plain.trials
    assert {trial.kind for trial in added} == {TrialKind.PROFILE}
    # A program is not asked for operators, as it is not asked for outputs.
    asked = [trial.job for trial in plain.trials if trial.kind is TrialKind.PREFLIGHT]
    assert [trial.job for trial in added] == asked
    assert profiled.estimate_s == plain.estimate_s + 2 * len(added)
    assert [(one.key, one.kind) for one in WorkerPlan.parse(profiled.document).trials] == [
        (trial.key, trial.kind.value) for trial in profiled.trials
    ]


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
                "input": {"low": 0.0, "high": 1.0, "shape": [1, 8, 8, 1], "dtype": "float32"},
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
    assert plan.sha256 == "fe7dccac381f49d8209031981688f80157d84a42e0d6c5256dec9ce29ed20410"
    # Without what plans have gained since, the bytes are those of the first releases.
    content = document(plan)
    for job in content["jobs"]:
        del job["input"]["shape"], job["input"]["dtype"]
    assert sha256(canonical(content).decode()) == "18b00b310e0ce8143eedcd71ced48680e9ce1cc3dfad4689d343124cb00f67fc"
    assert [job.key for job in plan.jobs[:2]] == ["dcb1875ac6b4", "432ad2f7e557"]


def test_inputs_and_the_output_declared_by_name_travel_and_are_read_back() -> None:
    named = {"mask": ModelInput((1, 64), "bool", 0, 1, "next")}
    model = replace(MODEL, inputs=named, output=ModelOutput((1, 10), "classes"), state=StatePolicy.RESET)
    plan = plan_device(replace(inputs(), model=model))
    job, read = document(plan)["jobs"][0], planned_jobs(plan.document)[0]
    assert job["inputs"] == {
        "mask": {"low": 0.0, "high": 1.0, "shape": [1, 64], "dtype": "bool", "from_output": "next"}
    }
    assert job["output"] == {"name": "classes", "shape": [1, 10]}
    assert (read.input.shape, read.inputs["mask"].dtype, read.output) == ((1, 8, 8, 1), "bool", model.output)
    assert (job["state"], read.state, read.inputs["mask"].from_output) == ("reset", StatePolicy.RESET, "next")
    # Plans of older controllers declare the range alone.
    older = json.loads(plan.document)
    for one in older["jobs"]:
        one["input"] = {"low": 0.0, "high": 1.0}
        del one["inputs"], one["output"]
    before = planned_jobs(canonical(older))[0]
    assert (before.input, before.inputs, before.output) == (ShippedInput(0.0, 1.0), {}, None)


def test_inputs_from_files_travel_once_by_their_hash_and_are_read_back() -> None:
    taken = {name: ModelInput((1, 4), "string", file=f"/models/digits/{name}/x.npy") for name in ("a", "b")}
    model = replace(MODEL, inputs={**taken, "again": taken["a"]})
    plan = plan_device(inputs(model=model))
    job, read = document(plan)["jobs"][0], planned_jobs(plan.document)[0]
    file = job["inputs"]["a"].pop("file")
    assert job["inputs"]["a"] == {"shape": [1, 4], "dtype": "string"}
    assert file == {
        "name": f"input-{file['sha256'][:16]}",
        "sha256": sha256("/models/digits/a/x.npy"),
        "size": len("/models/digits/a/x.npy"),
    }
    assert job["inputs"]["b"]["file"]["name"] != file["name"]  # two files called x.npy lie side by side
    assert [one.sha256 for one in read.input_files] == [sha256(f"/models/digits/{name}/x.npy") for name in "aab"]
    assert [blob.sha256 for blob in plan.blobs].count(file["sha256"]) == 1
    assert file["sha256"] in [blob["sha256"] for blob in json.loads(narrowed_plan(plan.document, job["job"]))["blobs"]]
    worker = WorkerPlan.parse(plan.document).jobs[job["job"]]
    assert worker.inputs.of("a").file is not None
    assert file["name"] in [one.name for one in worker.files]


def test_a_file_that_contradicts_the_declared_inputs_is_left_out_where_files_give_them() -> None:
    wrong = {MODEL.variants["int8"].artifacts[0].path: "input 'x' is [1, 3], and model.yaml declares [1, 4]"}
    drawn = plan_device(inputs(contradictions=wrong))
    assert not drawn.excluded  # the device finds that out, and the cell fails with the same words
    model = replace(MODEL, inputs={"x": ModelInput((1, 4), "float32", file="/models/digits/x.npy")})
    taken = plan_device(inputs(model=model, contradictions=wrong))
    assert {one.reason for one in taken.excluded} == set(wrong.values())
    assert {job.variant for job in taken.jobs} == {"fp32"}


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


def test_each_condition_that_an_inventory_bounds_is_in_the_plan_and_no_other() -> None:
    def limits(own: Limits) -> Any:
        return document(plan_device(inputs(device=replace(DEVICE, limits=own))))["limits"]

    unset = limits(Limits())
    assert (unset["temperature_c_max"], set(CONDITION_LIMITS) & set(unset)) == (None, {"temperature_c_max"})
    for key, most in CONDITION_LIMITS.items():
        bound: dict[str, Any] = {key: most}
        assert limits(Limits(**bound))[key] == most


def test_a_sweeps_limits_of_conditions_come_before_the_devices() -> None:
    device = replace(
        DEVICE, limits=Limits(temperature_c_max=75, cpu_pressure_max_percent=50, other_load_max_percent=20)
    )
    sweep = replace(SWEEP, limits={"cpu_pressure_max_percent": 5, "other_load_max_percent": None})
    limits = document(plan_device(inputs(device=device, sweep=sweep)))["limits"]
    assert limits["temperature_c_max"] == 75.0
    assert limits["cpu_pressure_max_percent"] == 5.0
    assert "other_load_max_percent" not in limits


def test_the_controllers_conditions_are_the_workers() -> None:
    assert {*CONDITION_LIMITS, GOVERNOR_LIMIT} == {kind.limit for kind in CONDITIONS if kind.limit is not None}


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


def test_the_files_of_a_sweep_are_its_variants_its_data_and_its_programs() -> None:
    assert files_needed(replace(SWEEP, runtimes=(PROGRAM, OLD)), MODEL) == {
        "/models/digits/digits-fp32.tflite": BlobKind.MODEL,
        "/models/digits/digits-int8.tflite": BlobKind.MODEL,
        "/models/digits/test.npz": BlobKind.DATASET,
        "/sweeps/bench.sh": BlobKind.FILE,
        "/sweeps/data/x.bin": BlobKind.FILE,
    }


def test_the_grid_is_expanded_in_the_order_of_the_file() -> None:
    labels = [cell.label for cell in expand(SWEEP)]
    expected = [
        f"{variant} · {runtime.label} · threads={threads}"
        for variant, runtime, threads in product(SWEEP.variants, SWEEP.runtimes, (1, 2))
    ]
    assert labels == expected
