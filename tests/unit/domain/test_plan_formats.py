"""Which artifact of a variant a cell gets, and which cells have none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Format, Variant, format_of_file
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import CALLS, RUNTIMES, artifact_for
from tests.unit.domain.plan_documents import document, reasons
from tests.unit.domain.planning import MODEL, NEW, OLD, ONNX, PROGRAM, SWEEP, TENSORFLOW, inputs, with_artifacts

BOTH = with_artifacts("fp32", Format.TFLITE, Format.ONNX)
TWO_ENGINES = replace(SWEEP, runtimes=(OLD, ONNX), matrix={"threads": (1,)})


def test_each_runtime_gets_the_artifact_that_it_loads() -> None:
    plan = plan_device(inputs(TWO_ENGINES, BOTH))
    chosen = {job["label"]: (job["engine"], job["module"], job["model"]["name"]) for job in document(plan)["jobs"]}
    assert chosen == {
        "fp32 · tflite-runtime==2.14.0 · threads=1": ("tflite", "tflite_runtime.interpreter", "digits-fp32.tflite"),
        "fp32 · onnxruntime==1.20.1 · threads=1": ("onnxruntime", "onnxruntime", "digits-fp32.onnx"),
        "int8 · tflite-runtime==2.14.0 · threads=1": ("tflite", "tflite_runtime.interpreter", "digits-int8.tflite"),
    }


def test_a_cell_without_an_artifact_for_its_runtime_is_excluded_and_says_why() -> None:
    plan = plan_device(inputs(TWO_ENGINES, BOTH))
    assert reasons(plan) == {
        "int8 · onnxruntime==1.20.1 · threads=1": "onnxruntime loads onnx, and int8 has tflite alone"
    }


def test_a_format_that_no_engine_loads_is_excluded_everywhere() -> None:
    model = with_artifacts("fp32", Format.KERAS, Format.ENDPOINT)
    plan = plan_device(inputs(replace(TWO_ENGINES, variants=("fp32",)), model))
    assert plan.jobs == ()
    assert set(reasons(plan).values()) == {
        "tflite loads tflite, and fp32 has keras and endpoint alone",
        "onnxruntime loads onnx, and fp32 has keras and endpoint alone",
    }


def test_only_artifacts_that_a_runtime_of_the_sweep_loads_are_files_of_the_sweep() -> None:
    def models(runtimes: tuple[RuntimeSpec, ...]) -> set[str]:
        needed = files_needed(replace(SWEEP, runtimes=runtimes), BOTH)
        return {path.rpartition("/")[2] for path, kind in needed.items() if kind is BlobKind.MODEL}

    assert models((OLD, NEW)) == {"digits-fp32.tflite", "digits-int8.tflite"}
    assert models((ONNX,)) == {"digits-fp32.onnx"}
    assert models((OLD, ONNX)) == {"digits-fp32.tflite", "digits-int8.tflite", "digits-fp32.onnx"}


CALLED = replace(SWEEP, variants=("fp32",), runtimes=(TENSORFLOW,))
CALLS_OF_TENSORFLOW = [call for call in CALLS if call not in ("jit", "eager", "compile")]
TORCH = RuntimeSpec("system/torch", RuntimeSource.SYSTEM, "torch")
THREE_FORMATS = with_artifacts("fp32", Format.TFLITE, Format.SAVED_MODEL, Format.KERAS)


def chosen(plan: DevicePlan) -> dict[str, tuple[str, str, str]]:
    """Return engine, module and the format's ending by call."""
    jobs = document(plan)["jobs"]
    return {
        job["settings"]["call"]: (job["engine"], job["module"], job["model"]["name"].rpartition(".")[2]) for job in jobs
    }


def test_a_call_chooses_the_engine_and_the_artifact_of_tensorflow() -> None:
    plan = plan_device(inputs(replace(CALLED, matrix={"call": (*CALLS_OF_TENSORFLOW,)}), THREE_FORMATS))
    assert reasons(plan) == {}
    keras, saved = ("tensorflow", "tensorflow", "keras"), ("tensorflow", "tensorflow", "saved-model")
    assert chosen(plan) == {
        "predict": keras,
        "predict_on_batch": keras,
        "model": keras,
        "function": keras,
        "xla": keras,
        "signature": saved,
        "tf.lite": ("tflite", "tensorflow.lite", "tflite"),
    }
    needed = files_needed(replace(CALLED, matrix={"call": ("signature", "tf.lite")}), THREE_FORMATS)
    assert {path.rpartition(".")[2] for path in needed if "digits-fp32" in path} == {"saved-model", "tflite"}


def test_a_saved_model_is_traced_where_there_is_no_keras_model() -> None:
    sweep = replace(CALLED, matrix={"call": ("function", "predict")})
    plan = plan_device(inputs(sweep, with_artifacts("fp32", Format.SAVED_MODEL)))
    assert chosen(plan) == {"function": ("tensorflow", "tensorflow", "saved-model")}
    assert list(reasons(plan).values()) == ["call: predict wants keras, and fp32 has saved-model alone"]


def test_null_is_a_cell_without_the_setting_so_that_one_sweep_has_models_of_unlike_runtimes() -> None:
    sweep = replace(CALLED, runtimes=(OLD, TENSORFLOW), matrix={"call": (None, "signature"), "threads": (1,)})
    small = plan_device(inputs(sweep, with_artifacts("fp32", Format.TFLITE)))
    assert [job.settings for job in small.jobs] == [{"threads": 1}] * 2
    alone = plan_device(inputs(replace(sweep, matrix={"threads": (1,)}), with_artifacts("fp32", Format.TFLITE)))
    assert [job.key for job in small.jobs] == [job.key for job in alone.jobs], "one history"
    large = plan_device(inputs(sweep, with_artifacts("fp32", Format.SAVED_MODEL)))
    assert [(job.runtime.name, job.settings) for job in large.jobs] == [
        ("tensorflow", {"call": "signature", "threads": 1})
    ]
    assert "tflite has no call: signature" in reasons(large).values()
    needed = files_needed(sweep, THREE_FORMATS)
    assert {path.rpartition(".")[2] for path in needed if "digits-fp32" in path} == {"saved-model", "tflite"}


def test_beside_null_a_setting_that_a_runtime_does_not_have_is_excluded() -> None:
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(OLD,), matrix={"provider": (None, "CUDAExecutionProvider")})
    plan = plan_device(inputs(sweep, MODEL))
    assert [job.settings for job in plan.jobs] == [{}]
    assert list(reasons(plan).values()) == ["tflite-runtime==2.14.0 has no setting 'provider'"]


def test_a_call_that_a_runtime_does_not_have_is_excluded() -> None:
    sweep = replace(CALLED, runtimes=(OLD,), matrix={"call": ("predict", "tf.lite")})
    plan = plan_device(inputs(sweep, THREE_FORMATS))
    assert chosen(plan) == {"tf.lite": ("tflite", "tflite_runtime.interpreter", "tflite")}
    assert list(reasons(plan).values()) == ["tflite has no call: predict"]


def test_tensorflow_without_a_call_runs_what_it_always_ran() -> None:
    plan = plan_device(inputs(replace(CALLED, matrix={"threads": (1,)}), THREE_FORMATS))
    (job,) = document(plan)["jobs"]
    assert (job["engine"], job["module"]) == ("tflite", "tensorflow.lite")
    own = RuntimeSpec("system/tensorflow", RuntimeSource.SYSTEM, "tensorflow")
    plan = plan_device(inputs(replace(CALLED, runtimes=(own,), matrix={"threads": (1,)}), THREE_FORMATS))
    assert list(reasons(plan).values()) == [
        "system/tensorflow must be told how to call the model: add call: [predict] to the matrix"
    ]


def test_a_setting_of_the_interpreter_alone_is_excluded_beside_another_call() -> None:
    sweep = replace(CALLED, matrix={"call": ("model", "tf.lite"), "delegate": ("none",)})
    plan = plan_device(inputs(sweep, THREE_FORMATS))
    assert list(chosen(plan)) == ["tf.lite"]
    assert list(reasons(plan).values()) == ["call: model has no setting 'delegate'"]


def test_another_artifact_changes_no_job_and_no_byte_of_a_plan_that_does_not_use_it() -> None:
    before, after = plan_device(inputs(SWEEP, MODEL)), plan_device(inputs(SWEEP, BOTH))
    assert [job.key for job in after.jobs] == [job.key for job in before.jobs]
    assert after.document == before.document


def test_a_job_keeps_its_key_when_its_artifact_changes() -> None:
    renamed = replace(MODEL.variants["fp32"], artifacts=(Artifact(Format.TFLITE, "/elsewhere/x.lite", "e" * 64),))
    model = replace(MODEL, variants={**MODEL.variants, "fp32": renamed})
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(OLD,))
    files = {path: replace(blob, sha256="e" * 64) for path, blob in inputs(sweep, model).files.items()}
    files |= {path: blob for path, blob in inputs(sweep).files.items() if path.endswith(".npz")}
    rebuilt = plan_device(inputs(sweep, model, files=files))
    assert [job.key for job in rebuilt.jobs] == [job.key for job in plan_device(inputs(sweep)).jobs]
    assert rebuilt.sha256 != plan_device(inputs(sweep)).sha256


@pytest.mark.parametrize(("wanted", "chosen"), [(None, "keras"), (Format.ONNX, "onnx"), (Format.TORCH, None)])
def test_a_program_gets_the_format_that_it_asks_for_or_the_first(wanted: Format | None, chosen: str | None) -> None:
    assert PROGRAM.program is not None
    program = replace(PROGRAM, program=replace(PROGRAM.program, format=wanted))
    model = with_artifacts("fp32", Format.KERAS, Format.ONNX)
    artifact = artifact_for(model.variants["fp32"], program)
    assert (artifact and artifact.format) == chosen


def test_an_engine_of_several_formats_takes_the_one_that_it_prefers() -> None:
    variant = with_artifacts("fp32", Format.ONNX, Format.TFLITE, Format.KERAS).variants["fp32"]
    preferred = variant.artifact_in((Format.SAVED_MODEL, Format.KERAS, Format.TFLITE))
    assert preferred is not None
    assert preferred.format is Format.KERAS


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("digits.tflite", Format.TFLITE),
        ("a.b/Model.ONNX", Format.ONNX),
        ("x.h5", Format.KERAS),
        ("x.pt", Format.TORCH),
        ("x.pt2", Format.TORCH_EXPORT),
        ("x.bin", Format.OTHER),
        ("tflite", Format.TFLITE),
        ("", Format.OTHER),
    ],
)
def test_a_file_tells_its_format_by_its_ending(file: str, form: Format) -> None:
    assert format_of_file(file) is form


def test_every_runtime_of_the_table_loads_a_variant_of_its_own_format() -> None:
    for runtime in RUNTIMES.values():
        spec = RuntimeSpec(f"{runtime.name}=={runtime.example}", RuntimeSource.BUNDLE, runtime.name, runtime.example)
        for form in runtime.engine.formats or ():
            variant = Variant(
                "v", (Artifact(Format.OTHER, "/o", "0" * 64), Artifact(form, "/f", "1" * 64)), "fp32", "x"
            )
            assert artifact_for(variant, spec) == variant.artifacts[1]


def test_a_device_that_never_looked_for_an_engine_is_asked_all_the_same() -> None:
    """Facts of an older worker name `tflite` alone."""
    sweep = replace(TWO_ENGINES, runtimes=(RuntimeSpec("system/onnxruntime", RuntimeSource.SYSTEM, "onnxruntime"),))
    runs = {
        known: bool(plan_device(inputs(sweep, BOTH, facts=Facts({"system_runtimes": dict(known)}))).jobs)
        for known in ((("tflite", ()),), (("tflite", ()), ("onnxruntime", ())), (("onnxruntime", ("onnxruntime",)),))
    }
    assert list(runs.values()) == [True, False, True]


def test_the_environment_hash_changes_only_when_a_runtime_is_installed() -> None:
    """A newer worker looks for more engines; the device has not changed by that."""
    before = Facts({"kernel": "6.1", "system_runtimes": {"tflite": []}}).environment_hash
    assert Facts({"kernel": "6.1", "system_runtimes": {"tflite": [], "onnxruntime": []}}).environment_hash == before
    installed = {"tflite": [], "onnxruntime": ["onnxruntime"]}
    assert Facts({"kernel": "6.1", "system_runtimes": installed}).environment_hash != before


def test_a_program_without_a_format_loads_a_file_of_any() -> None:
    program = RuntimeSpec("exec/x", RuntimeSource.EXEC, "x", program=ExecProgram(("sh",)))
    plan = plan_device(inputs(replace(SWEEP, runtimes=(program,), matrix={}), with_artifacts("int8", Format.OTHER)))
    assert [job.artifact.format for job in plan.jobs] == [Format.TFLITE, Format.OTHER]
    assert plan.excluded == ()


def test_a_call_of_pytorch_chooses_the_artifact_and_must_be_told() -> None:
    swept = replace(CALLED, runtimes=(TORCH,), matrix={"call": ("jit", "eager", "compile", "predict")})
    plan = plan_device(inputs(swept, with_artifacts("fp32", Format.TORCH, Format.TORCH_EXPORT)))
    assert {call: (engine, form) for call, (engine, _, form) in chosen(plan).items()} == {
        "jit": ("torch", "torch"),
        "eager": ("torch", "torch-export"),
        "compile": ("torch", "torch-export"),
    }
    assert list(reasons(plan).values()) == ["torch has no call: predict"]
    alone = plan_device(inputs(swept, with_artifacts("fp32", Format.TORCH)))
    assert "call: eager wants torch-export, and fp32 has torch alone" in reasons(alone).values()
    plain = plan_device(inputs(replace(swept, matrix={}), with_artifacts("fp32", Format.TORCH, Format.TORCH_EXPORT)))
    assert [(job["engine"], job["model"]["name"]) for job in document(plain)["jobs"]] == [
        ("torch", "digits-fp32.torch")
    ]
    untold = plan_device(inputs(replace(swept, matrix={}), with_artifacts("fp32", Format.TORCH_EXPORT)))
    assert list(reasons(untold).values()) == [
        "system/torch must be told how to call the model: add call: [eager] to the matrix"
    ]


def test_another_gpu_is_another_environment_and_no_gpu_leaves_hashes_as_they_were() -> None:
    hashes = {Facts({"kernel": "6.1", **gpu}).environment_hash for gpu in ({}, {"gpu": 0}, {"gpu": 1})}
    assert len(hashes) == 3
    assert Facts({"kernel": "6.1"}).environment_hash == "f56f84252d8866cf"
