"""Baselines, regressions and annotations that the reports are tried on; one name among them is hostile."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import Baseline, BaselineKind
from orchestrator.domain.bisection import Answer, Bisection, Outcome, Replaces, Step
from orchestrator.domain.build import FactChange
from orchestrator.domain.cell_details import AttemptDetails, CellDetails, Summary
from orchestrator.domain.cell_distribution import Bin, CellInMetric, Histogram
from orchestrator.domain.measurement import Cell
from orchestrator.domain.metric import Unit
from orchestrator.domain.operator_profile import CellProfile, OperatorTime, pair_profiles
from orchestrator.domain.regression import Direction, Figures, Regression, RegressionEvent, RegressionState
from orchestrator.domain.regression_details import RegressionDetails
from orchestrator.domain.run import TrialState
from orchestrator.domain.run_difference import BytesChange, BytesKind, DeviceDifference, RunDifference
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import (
    Change,
    ChangeKind,
    ChangePoint,
    HistoryBaseline,
    HistoryPoint,
    SeriesHistory,
)
from tests.unit.reporting.samples import BEGAN, HOSTILE

SERIES = Series(7, "pi-03", "digits", "int8", "tflite-runtime==2.14.0", {"threads": 2, "xnnpack": True})
OTHER = Series(8, "pi-03", "digits", "evil " + HOSTILE, "exec/c", {})
LATER = BEGAN + timedelta(days=2)
LEVELS = (
    Baseline(
        1, "main", "20240530-a1b2", BEGAN, BaselineKind.PINNED, BEGAN, "ann@ws1", "release 2.3", superseded_at=LATER
    ),
    Baseline(2, "main", "20240601-k3f9", BEGAN, BaselineKind.PINNED, LATER, "ann@ws1", "why " + HOSTILE),
    Baseline(
        3,
        "main",
        "20240601-k3f9",
        BEGAN,
        BaselineKind.ACCEPTED,
        LATER,
        "bob@ws2",
        "worth the accuracy",
        SERIES,
        "latency_ns",
    ),
)
REGRESSION = Regression(
    12,
    "main",
    SERIES,
    "latency_ns",
    Direction.ROSE,
    RegressionState.CONFIRMED,
    "20240601-k3f9",
    "20240601-n1",
    "20240530-a1b2",
    Figures(1.052, 1.043, 1.061, 20, 20),
    "20240601-n1",
)
SUSPECTED = Regression(
    13, "main", OTHER, "size_bytes", Direction.FELL, RegressionState.DETECTED, "20240601-k3f9", "20240602-n1"
)
ANNOTATIONS = (
    Annotation(1, date(2024, 5, 30), date(2024, 6, 2), "heat in the lab " + HOSTILE, "ann@ws1", BEGAN),
    Annotation(2, date(2024, 6, 1), date(2024, 6, 1), "fan replaced", "bob@ws2", BEGAN, device="pi-03"),
    Annotation(
        3, date(2024, 6, 1), date(2024, 6, 1), "odd", "bob@ws2", BEGAN, device="pi-03", series=SERIES, run="20240601"
    ),
)
LIFE = RegressionDetails(
    REGRESSION,
    (
        RegressionEvent(BEGAN, RegressionState.DETECTED, "ann@ws1", "z 3.1 " + HOSTILE, "20240601-n1"),
        RegressionEvent(BEGAN, RegressionState.CONFIRMED, "ann@ws1", None, "20240601-n1"),
        RegressionEvent(LATER, RegressionState.ACKNOWLEDGED, "bob@ws2", "known", None),
    ),
    ANNOTATIONS[1:2],
)
STEPS = (
    Step(4, Answer.BAD, "confirmed beside the good one", "20240602-c1", Figures(1.051, 1.043, 1.059, 10, 10)),
    Step(2, Answer.GOOD, "at the level of the good one", "20240602-c2", Figures(1.001, 0.994, 1.008, 20, 20)),
    Step(3, Answer.UNJUDGED, "does not run: load-error " + HOSTILE, "20240602-c3"),
)
NAMES = ("builds/1.tflite", "builds/2.tflite", "builds/3.tflite", "evil " + HOSTILE, "builds/5.tflite")
BISECTION = Bisection(REGRESSION, Replaces.ARTIFACT, NAMES, STEPS, Outcome.FOUND)
CUT_OFF = Bisection(REGRESSION, Replaces.ARTIFACT, NAMES, STEPS[:1], Outcome.CUT_OFF, "pi-03: no route")


def _point(day: int, value: float | None, reason: str | None = None) -> HistoryPoint:
    at = BEGAN + timedelta(days=day)
    low, high = (None, None) if value is None else (value * 0.99, value * 1.01)
    return HistoryPoint(f"r{day}", at, value, low, high, 5 if value else 0, day % 2, reason, f"n{day}", "first-look")


HISTORY = SeriesHistory(
    SERIES,
    "latency_ns",
    Unit.NANOSECONDS,
    (*(_point(day, 2.31e6 if day < 6 else 2.43e6) for day in range(12)), _point(12, None, "2 failed")),
    HistoryBaseline("main " + HOSTILE, "r0", BaselineKind.PINNED, 2.31e6),
    (ChangePoint("r6", BEGAN + timedelta(days=6), 1.052, 7.25),),
    None,
    (
        Change("r6", BEGAN + timedelta(days=6), ChangeKind.ARTIFACT, "0123456789ab -> ba9876543210"),
        Change("r8", BEGAN + timedelta(days=8), ChangeKind.ENVIRONMENT, "kernel 6.1 -> 6.2 " + HOSTILE),
    ),
    (replace(REGRESSION, candidate_run="r6"),),
    ANNOTATIONS,
    7,
)
SHORT = SeriesHistory(
    OTHER,
    "size_bytes",
    Unit.BYTES,
    (HistoryPoint("r0", BEGAN, 6910.0, None, None, 1),),
    steps_reason="a step is sought in 8 values or more",
)

DIFFERENCE = RunDifference(
    "20240530-a1b2",
    BEGAN - timedelta(days=2),
    "20240601-k3f9",
    BEGAN,
    (FactChange("seed", "7", "8"),),
    (
        DeviceDifference(
            "pi-03",
            (FactChange("memory_bytes", "4000000000", "8000000000"),),
            (FactChange("kernel", "6.1.21", "6.6.31 " + HOSTILE),),
            (
                BytesChange(BytesKind.ARTIFACT, "0" * 64, "1" * 64, ("int8 · exec/c",)),
                BytesChange(BytesKind.WORKER, "2" * 64, "3" * 64, tuple(f"int8 · exec/{name}" for name in "abcde")),
            ),
            ("fp32 · exec/c",),
            ("fp16 · exec/c",),
        ),
        DeviceDifference("pi-04"),
        DeviceDifference("nano", unknown="the facts of 20240601-k3f9 are not on record: no plan was made"),
    ),
    ("coral-01",),
    ("coral-02", "gate"),
)


def _attempt(index: int, ordinal: int, invalid: tuple[str, ...] = (), failure: str | None = None) -> AttemptDetails:
    good = not invalid and failure is None
    summary = Summary("latency_ns", 41_900.0, 400, None, None, 42_300.0, None, 4e4, 5e4, "rapl " + HOSTILE)
    return AttemptDetails(
        id=10 * index + ordinal,
        trial=f"abc.{index}",
        kind="measure" if index else "preflight",
        trial_index=index,
        trial_state=TrialState.MEASURED,
        ordinal=ordinal,
        outcome="failed" if failure else "ok",
        counted=good,
        invalid=invalid,
        failure=failure,
        stderr=None,
        started_at=BEGAN,
        finished_at=BEGAN,
        duration_ns=2_600_000_000,
        before={"temperature_c": 48.5, "cpu_mhz": 1800.0, "load_1m": "\x1b[2J", "throttled": False},
        after={"temperature_c": 51.0, "cpu_mhz": 1800.0, "load_1m": True},
        exclusive=True,
        runtime={},
        metrics={"latency_ns": summary} if good and index else {},
        power=None,
        absent={"rss_bytes_max": "no reset " + HOSTILE} if good and index else {},
    )


_DETAILS = CellDetails(
    job=5,
    series=7,
    cell=Cell("20240601-k3f9", "pi-03", "digits", "int8", "exec/" + HOSTILE, {}),
    label="int8 · exec/" + HOSTILE,
    artifact_sha256="0" * 64,
    artifact_format="tflite",
    size_bytes=6910,
    precision="int8",
    made="post-training",
    parent="fp32",
    attempts=(
        _attempt(0, 1),
        _attempt(1, 1),
        _attempt(2, 1, ("too-hot " + HOSTILE,)),
        _attempt(2, 2, failure="died " + HOSTILE),
    ),
    trials={TrialState.MEASURED: 1, TrialState.FAILED: 1},
    skipped=None,
    earlier=None,
    later=None,
    limits={"temperature_c_max": 50.0, "cpu_pressure_max_percent": 25.0},
)
CELL = CellInMetric(
    _DETAILS,
    "latency_ns",
    Unit.NANOSECONDS,
    Histogram(
        "latency_ns",
        (1, 3),
        (Bin(41_000.0, 42_000.0, (300, 250)), Bin(42_000.0, 43_000.0, (99, 0)), Bin(43_000.0, 9.1e6, (1, 0))),
        650,
        41_900.0,
        42_300.0,
        None,
    ),
    None,
    (f"benchfleet runs resume 20240601-k3f9 --trials +1 --cells 'device=pi-03,variant=int8,runtime=exec/{HOSTILE}'",),
)
UNSAMPLED = replace(
    CELL,
    details=replace(_DETAILS, attempts=(_attempt(0, 1),)),
    histogram=None,
    unsampled="no trial counts",
    commands=(),
)

FP32_PROFILE = CellProfile(
    "20240601-k3f9",
    "pi-03",
    "fp32 · onnxruntime==1.20.1",
    (
        OperatorTime(1, "Conv", "conv1", "CPUExecutionProvider", 27, 27, 6_000.0, 0.6),
        OperatorTime(2, "Gemm", "dense " + HOSTILE, None, 54, 27, 2_000.0, 0.4),
    ),
)
INT8_PROFILE = CellProfile(
    "20240601-k3f9",
    "pi-03",
    "int8 · onnxruntime==1.20.1",
    (
        OperatorTime(1, "QLinearConv", "conv1_quant", "CPUExecutionProvider", 27, 27, 3_000.0, 0.75),
        OperatorTime(2, "Gemm", "dense", "CPUExecutionProvider", 27, 27, 1_000.0, 0.25),
    ),
)
NO_PROFILE = CellProfile("20240601-k3f9", "pi-03", "fp32 · exec/" + HOSTILE, (), "no profiler " + HOSTILE)
PROFILE_PAIR = pair_profiles(FP32_PROFILE, INT8_PROFILE)

_PRESSED = replace(
    _attempt(1, 1, ("cpu-pressure",)),
    before={"cpu_pressure_percent": 3.0},
    after={"cpu_pressure_percent": 96.04, "load_1m": 7.5, "cpu_mhz": 2400.0},
    metrics={},
)
_BROKEN = "benchfleet runs resume 20240601-k3f9 --trials +1 --cells 'device=pi-03,variant=int8,runtime=exec/program'"
PRESSED = replace(
    UNSAMPLED,
    details=replace(
        _DETAILS, label="int8 · exec/program", attempts=(_PRESSED, replace(_PRESSED, id=12, ordinal=2, trial_index=1))
    ),
    commands=(_BROKEN,),
)
