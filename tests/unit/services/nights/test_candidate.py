"""What a night fixes: a candidate that no sweep measures is refused, and the command's word is passed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.domain.model import Format
from orchestrator.domain.nightly import CandidateSpec, Nightly
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Setting
from orchestrator.services.nights.builds import build_now
from orchestrator.services.nights.candidate import check_candidate, make, renamed, seed_of, with_ancestors
from orchestrator.specs.sweep import SweepFile
from orchestrator.testing.event_logs import LITERT, TFLITE, sample_model, sample_sweep

SWEEP, MODEL = sample_sweep(runtimes=(TFLITE, LITERT)), sample_model()


def a_nightly(**candidate: object) -> Nightly:
    return Nightly("digits", "nightly.yaml", "/lab", ("a.yaml",), candidate=CandidateSpec(**candidate))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ({"artifacts": {"digit": {"int8": {Format.TFLITE: "/x"}}}}, "no sweep measures a model 'digit'"),
        ({"artifacts": {"digits": {"int4": {Format.TFLITE: "/x"}}}}, "no sweep measures a variant 'int4'"),
        ({"artifacts": {"digits": {"fp16": {Format.TFLITE: "/x"}}}}, "no sweep measures a variant 'fp16'"),
        ({"artifacts": {"digits": {"int8": {Format.ONNX: "/x"}}}}, "digits int8 has no onnx artifact"),
        ({"runtimes": {"ai-edge-litert==2.0.0": "ai-edge-litert==2.4.0"}}, "no sweep measures runtime"),
    ],
)
def test_a_candidate_that_no_sweep_measures_is_refused(candidate: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        check_candidate(a_nightly(**candidate), [SWEEP], [MODEL])
    assert caught.value.hint


def test_a_candidate_of_measured_parts_passes() -> None:
    artifacts = {"digits": {"int8": {Format.TFLITE: "/x"}}}
    check_candidate(a_nightly(artifacts=artifacts, runtimes={LITERT.label: "ai-edge-litert==2.4.0"}), [SWEEP], [MODEL])


def test_two_sweeps_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(ConfigError, match="two sweeps are called 'digits-variants'"):
        check_candidate(a_nightly(), [SWEEP, SWEEP], [MODEL, MODEL])


def in_folder(folder: Path, *command: str, limit_s: float = 60.0) -> Nightly:
    candidate = CandidateSpec(command=command, command_timeout_s=limit_s)
    return Nightly("digits", "nightly.yaml", str(folder), ("a.yaml",), candidate=candidate)


def test_the_command_runs_in_the_folder_of_the_file(tmp_path: Path) -> None:
    make(in_folder(tmp_path, "sh", "-c", "pwd > here"))
    assert Path((tmp_path / "here").read_text().strip()).resolve() == tmp_path.resolve()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "echo no compiler >&2; exit 3"), "ended with 3: no compiler"),
        (("sh", "-c", "exit 3"), "it said nothing"),
        (("/nowhere/make",), "cannot be run: No such file"),
    ],
)
def test_a_command_that_fails_says_why_and_nothing_is_measured(
    tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    with pytest.raises(OrchestratorError, match=words):
        make(in_folder(tmp_path, *command))


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(OrchestratorError, match=r"took more than 0\.2 s"):
        # The child holds the pipe, and would keep the caller waiting if it outlived its parent.
        make(in_folder(tmp_path, "sh", "-c", "sleep 60 & wait", limit_s=0.2))


def test_another_build_has_another_hash_and_a_lost_one_has_none(tmp_path: Path) -> None:
    artifact, program = tmp_path / "int8.tflite", tmp_path / "bench.py"
    artifact.write_bytes(b"one")
    program.write_text("print(1)")
    runtime = RuntimeSpec(
        "exec/busy", RuntimeSource.EXEC, "busy", program=ExecProgram(("python3",), (("b", str(program)),))
    )
    sweep = SweepFile(sample_sweep(variants=("int8",), runtimes=(runtime,)), MODEL, "sweep: digits")
    nightly = a_nightly(artifacts={"digits": {"int8": {Format.TFLITE: str(artifact)}}})
    first = build_now(nightly, [sweep])
    assert first == build_now(nightly, [sweep]) is not None
    found = {first}
    artifact.write_bytes(b"two")
    found.add(build_now(nightly, [sweep]))
    program.write_text("print(22)")
    found.add(build_now(nightly, [sweep]))
    found.add(build_now(nightly, [replace(sweep, text="sweep: digits, changed")]))
    assert len(found) == 4
    artifact.unlink()
    assert build_now(nightly, [sweep]) is None


def test_rules_follow_a_runtime_to_its_new_version() -> None:
    rules: tuple[dict[str, Setting], ...] = ({"runtime": "a==1", "threads": 1}, {"runtime": "a*"}, {"variant": "a==1"})
    assert renamed(rules, {"a==1": "a==2"}) == (
        {"runtime": "a==2", "threads": 1},
        {"runtime": "a*"},
        {"variant": "a==1"},
    )


def test_the_order_of_trials_differs_from_night_to_night_and_can_be_repeated() -> None:
    assert (
        seed_of("digits-1", "first-look.0")
        == seed_of("digits-1", "first-look.0")
        != seed_of("digits-2", "first-look.0")
    )
    assert 0 <= seed_of("digits-1", "first-look.0") < 1 << 63


def test_a_variant_is_written_with_everything_that_it_was_made_from() -> None:
    assert list(with_ancestors(MODEL, ["int8"])) == ["int8", "fp16", "fp32"]
    assert list(with_ancestors(MODEL, ["fp32", "fp16"])) == ["fp32", "fp16"]
