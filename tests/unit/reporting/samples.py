"""Values that the reports are tried on; one name among them is hostile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.cleaning import Cleaning, Item, ItemKind
from orchestrator.domain.comparison import (
    AccuracyMethod,
    AccuracyTest,
    Agreement,
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    MetricRow,
    OutputsAgreement,
    Ratio,
    Side,
    Tolerance,
    TrialsRange,
    Verdict,
)
from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import DeviceBusy, OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.metric import METRICS
from orchestrator.domain.model import Artifact, Dataset, Format, Model, ModelInput, Variant
from orchestrator.domain.plan.values import DevicePlan, Excluded, Job, Trial, TrialKind
from orchestrator.domain.power import PowerUse
from orchestrator.domain.recovery import Quarantine, RecoveryEvent, Rung
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    MissingTrial,
    Offset,
    RunHeader,
    RunRecord,
    RunState,
    RunSummary,
    TrialCounts,
    TrialState,
)
from orchestrator.domain.run_words import Commit, Exclusion, RunWords
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec

BEGAN = datetime(2024, 6, 1, 3, 15, tzinfo=UTC)
HOSTILE = "\x1b[2J[red]evil[/red]\u202e"
RUNTIME = RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0")

NO_OUTPUTS = OutputsAgreement(Agreement.UNKNOWN)
UNMEASURED = Side("pruned", 0, None, None, 20_512, None, rejected="load-error: " + HOSTILE)
GROUPS = (
    ComparisonGroup(
        "digits",
        "pi-03",
        {"runtime": "tflite-runtime==2.14.0", "threads": 1},
        Side("fp32", 5, 41_873.0, 0.01, 20_512, 0.970),
        (
            ComparisonRow(
                Side("fp16", 5, 41_990.0, 0.01, 11_400, 0.970),
                Verdict.INCONCLUSIVE,
                Ratio(1.0028, 0.9911, 1.0146, 0.6, 0.6, 0.08, 0.021),
                7,
                0.556,
                0.0,
                OutputsAgreement(Agreement.AGREE, 0.00032, 0, 0, 64, 64),
                word="inconclusive",
                trials_total=TrialsRange(7, 12),
            ),
            ComparisonRow(
                Side("int8", 4, 20_100.0, 0.01, 6_912, 0.974, invalid=1, set_aside=(2.01,)),
                Verdict.IMPROVED,
                Ratio(0.4800, 0.4609, 0.5021, 1e-9, 3e-9),
                None,
                0.337,
                0.004,
                OutputsAgreement(Agreement.DIFFER, 0.0431, 80, 0, 64, 64),
                ("1 invalid trial excluded",),
                "faster",
            ),
            ComparisonRow(
                Side("int8-badcal", 5, 43_130.0, 0.01, 6_912, 0.773),
                Verdict.REGRESSED,
                Ratio(1.0300, 1.0151, 1.0452, 0.001, 0.002),
                None,
                0.337,
                -0.197,
                OutputsAgreement(Agreement.DIFFER, 0.913, 300, 10, 64, 40),
                word="slower",
            ),
            ComparisonRow(UNMEASURED, Verdict.NOT_COMPARABLE, None, None, 1.0, None, NO_OUTPUTS, ("rejected: bad op",)),
        ),
    ),
    ComparisonGroup(
        "digits",
        HOSTILE,
        {"runtime": "exec/program", "pinned": True},
        None,
        (ComparisonRow(UNMEASURED, Verdict.NOT_COMPARABLE, None, None, None, None, NO_OUTPUTS),),
        ("no variant fp32 here",),
    ),
)
COMPARISON = Comparison(
    "20240601-k3f9",
    "variant",
    "fp32",
    METRICS["latency_ns"],
    min_effect=0.01,
    significance=0.05,
    confidence=0.95,
    tolerance=Tolerance(),
    tests=3,
    groups=GROUPS,
)

FURTHER = ("latency_ns_p90", "latency_ns_p99", "rss_bytes_max", "energy_mj")


def _in_metric(row: ComparisonRow, base: Side | None, name: str) -> MetricRow:
    """Return a row's verdict in a further metric: memory is the same everywhere, all else as the latency."""
    verdict, word, ratio, value = row.verdict, row.word, row.ratio, row.side.value
    if name == "rss_bytes_max" and ratio is not None:
        verdict, word, ratio, value = Verdict.EQUIVALENT, "equivalent", Ratio(1.0012, 0.9994, 1.003), 13_600_000.0
    return MetricRow(
        METRICS[name],
        METRICS[name].min_effect,
        base and replace(base, value=13_600_000.0 if name == "rss_bytes_max" else base.value),
        replace(row.side, value=value),
        verdict,
        ratio,
        row.trials_more,
        row.trials_total,
        word,
        row.notes,
    )


_TESTS = (
    AccuracyTest(AccuracyMethod.MCNEMAR, Verdict.INCONCLUSIVE, 360, 0.0, -0.01, 0.01, 1.0, 0, 0),
    AccuracyTest(AccuracyMethod.UNPAIRED, reason="the base has no results by input"),
    AccuracyTest(AccuracyMethod.MCNEMAR, Verdict.REGRESSED, 360, -0.197, -0.24, -0.15, 1e-18, 75, 4),
    None,
)
IN_METRICS = replace(
    COMPARISON,
    further=tuple(METRICS[name] for name in FURTHER),
    commands=("benchfleet runs resume 20240601-k3f9 --trials +7 --select pi-03 --cells 'variant=fp16,threads=1'",),
    groups=tuple(
        replace(
            group,
            rows=tuple(
                replace(row, metrics=tuple(_in_metric(row, group.base, name) for name in FURTHER), accuracy_test=test)
                for row, test in zip(group.rows, _TESTS, strict=False)
            ),
        )
        for group in GROUPS
    ),
)

DEVICES = (
    Device("workstation", TransportKind.LOCAL),
    Device("pi-03", TransportKind.SSH, host="10.0.0.3", user="pi", port=2222, tags={"class": "rpi5", "site": "lab"}),
    Device("coral-01", TransportKind.SSH, jump="gate"),
)
PI_FACTS = Facts(
    {
        "machine": "aarch64",
        "board_model": "Raspberry Pi 5 Model B Rev 1.0",
        "cpu_count": 4,
        "memory_bytes": 8_254_000_000,
        "os_id": "debian",
        "os_version": "12",
        "python": "3.11.2",
        "libc_name": "glibc",
        "libc_version": "2.36",
        "temperature_c": 51.2,
        "disk_free_bytes": 20_900_000_000,
        "kernel": "6.6.31+rpt-rpi-2712",
        "governor": "ondemand",
        "load_1m": 0.31,
        "throttled": False,
        "power_sources": [{"name": "hwmon ina3221 VDD_IN", "readable": True, "reason": None}],
    }
)
CLEANED: dict[str, Cleaning | OrchestratorError] = {
    "pi-03": Cleaning(
        (Item(ItemKind.RUN, "20260101-101112-ab12", 4_100), Item(ItemKind.BLOB, "c" * 64, 51_200_000)),
        (
            Item(ItemKind.RUN, "20260102-101112-cd34", 9_000, "this database does not have its log"),
            Item(ItemKind.BLOB, "d" * 64, 20_512, "needed by run 20260102-101112-cd34"),
            Item(ItemKind.WORKER, "e" * 64, 400_000, f"process 17 runs it {HOSTILE}"),
        ),
    ),
    "pi-04": Cleaning((), ()),
    "coral-01": DeviceBusy("run 20260103-101112-ef56 is measuring here", "wait for it to end").at("coral-01", "clean"),
}
BARE_FACTS = Facts({"machine": "armv7l", "python": "3.7.3", "temperature_c": None, "memory_bytes": HOSTILE})

FP32 = Artifact(Format.TFLITE, "/m/fp32", "0" * 64)
JOBS = tuple(
    Job(
        f"job{number}",
        variant,
        RUNTIME,
        {"threads": 1},
        f"{variant} · tflite-runtime==2.14.0 · threads=1",
        FP32,
        "digits",
    )
    for number, variant in enumerate(("fp32", "int8"))
)
TRIALS = tuple(
    Trial(f"{job.key}.{index}", job.key, TrialKind.MEASURE if index else TrialKind.PREFLIGHT, index)
    for index in range(7)
    for job in JOBS
)
BLOBS = (Blob("a" * 64, 20_512, BlobKind.MODEL, "fp32.tflite"), Blob("b" * 64, 51_200_000, BlobKind.BUNDLE, "bundle"))
PLANS = tuple(
    DevicePlan(
        device,
        JOBS,
        TRIALS,
        (Excluded("int8 · ai-edge-litert==2.3.0 · threads=1", f"no wheel fits {HOSTILE}"),),
        BLOBS,
        b"{}",
        "c" * 64,
        192.0 + 60 * number,
    )
    for number, device in enumerate(("pi-03", "pi-04"))
)

HEADER = RunHeader("20240601-k3f9", "digits-variants", "", "", "digits", "", 7, BEGAN, "lab", {})
WORDS = RunWords(
    "before",
    "old sink " + HOSTILE,
    "ann@ws1",
    BEGAN,
    {"branch": "main", "by": HOSTILE},
    Commit("c" * 40, dirty=True),
    Exclusion("window open " + HOSTILE, "ann@ws1", BEGAN),
)
RUN = RunRecord(
    HEADER,
    RunState.INCOMPLETE,
    BEGAN + timedelta(minutes=12, seconds=5),
    (
        DeviceRun(
            "pi-03",
            DeviceRunState.COMPLETE,
            None,
            None,
            "c" * 64,
            Offset("log", 40),
            {TrialState.MEASURED: 9, TrialState.FAILED: 1, TrialState.PLANNED: 0},
        ),
        DeviceRun(
            "pi-04",
            DeviceRunState.FAILED,
            "pi-04: connect: host key changed " + HOSTILE,
            "benchfleet devices enroll pi-04",
            None,
            Offset(None, 0),
            {},
        ),
    ),
)
SUMMARIES = (
    RunSummary(
        "20240602-a1b2",
        HOSTILE,
        ("digits",),
        RunState.ACTIVE,
        1,
        0,
        TrialCounts(missing=10),
        BEGAN + timedelta(days=1),
        None,
        ("pi-03",),
    ),
    RunSummary(
        HEADER.run,
        HEADER.sweep,
        ("digits",),
        RunState.INCOMPLETE,
        2,
        1,
        TrialCounts(measured=9, failed=1),
        BEGAN,
        RUN.finished_at,
        ("coral-01", "pi-03"),
        WORDS,
    ),
)
RECOVERY = (
    RecoveryEvent("pi-03", Rung.RESTART, "pi-03: it was killed", BEGAN, BEGAN, True),
    RecoveryEvent("pi-03", Rung.REBOOT, "a password is required " + HOSTILE, BEGAN, BEGAN, False),
    RecoveryEvent("pi-03", Rung.POWER_CYCLE, "no answer", BEGAN, None, None),
    RecoveryEvent("pi-03", Rung.QUARANTINE, "it did not come back", BEGAN, BEGAN, True),
)
POWER = (
    PowerUse("pi-03", "hwmon ina3221 VDD_IN", "power-gauge", 8, 24.9, 4.21, 0.0004),
    PowerUse("pi-03", "hwmon ina3221 VDD_IN", "power-gauge", 1, 24.8, None, 0.0004, None, "idle power is unknown"),
    PowerUse("desk", None, None, 9, None, None, 0.0, "rapl: this user may not read it " + HOSTILE),
)
CONDITIONS = (
    ConditionUse("pi-03", 3, {"other-load": 3, "too-hot": 1}),
    ConditionUse("desk", 1, {"cpu-steal": 1}, {"cpu_pressure_percent": "started without psi=1 " + HOSTILE}),
)
QUARANTINED = {"pi-03": Quarantine("pi-03", "its fan is broken " + HOSTILE, "ann@ws1", None, BEGAN)}
MISSING = tuple(
    MissingTrial("pi-03", JOBS[1].label, f"job1.{index}", TrialState.FAILED, "killed-by-signal: SIGSEGV " + HOSTILE)
    for index in (2, 4)
)
RESULTS = (
    CellResult(
        Cell(HEADER.run, "pi-03", "digits", "fp32", RUNTIME.label, {"threads": 1}),
        "latency_ns",
        (41_873.0, 41_500.0, 43_000.0),
        0,
        0,
        0,
        20_512,
        0.970,
        None,
        shared=3,
    ),
    CellResult(
        Cell(HEADER.run, "pi-03", "digits", "int8", RUNTIME.label, {"threads": 1}),
        "latency_ns",
        (),
        0,
        2,
        0,
        6_912,
        None,
        HOSTILE,
    ),
)

MODEL = Model(
    "digits",
    "/models/digits",
    "handwritten digits",
    "classification",
    ModelInput((1, 8, 8, 1), "float32", 0.0, 1.0),
    {
        "fp32": Variant("fp32", (FP32,), "float32", "trained", accuracy={"top1": 0.9703}),
        "int8": Variant(
            "int8", (Artifact(Format.TFLITE, "/m/int8", "1" * 64),), "int8", "post-training, " + HOSTILE, parent="fp32"
        ),
    },
    {"digits-test": Dataset("digits-test", "/m/d.npz", "2" * 64, 360)},
)
