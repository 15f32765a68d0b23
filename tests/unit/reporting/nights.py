"""Nights that the reports are tried on: a quiet lab, one with findings, and one whose every word is hostile."""

from __future__ import annotations

import dataclasses
import functools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import (
    Basis,
    CanaryShift,
    LostDevice,
    NightCell,
    NightEstimate,
    NightPoint,
    NightReport,
    NightRun,
    NightStage,
    NightState,
    NightVerdict,
)

BEGAN = datetime(2024, 6, 1, 22, 0, tzinfo=UTC)
RUNTIME = "tflite-runtime==2.14.0"
HOSTILE = (
    "\x1b[2J\u202e</pre><script src=//evil.example>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}]]>&amp;"
)
NIGHT = "n20240601-k3f9"


@functools.cache  # the same for every cell of a large night
def history(base: float, nights: int = 30, seed: int = 1, gap: int | None = None) -> tuple[NightPoint, ...]:
    """Return the nights before, without a value in the night `gap`."""
    noise = random.Random(seed)
    return tuple(
        NightPoint(
            f"n{number}",
            BEGAN - timedelta(days=nights - number),
            None if number == gap else base * noise.gauss(1, 0.004),
            NightVerdict.MISSING if number == gap else NightVerdict.CLEAN,
        )
        for number in range(nights)
    )


def cell(
    verdict: NightVerdict, variant: str = "int8", device: str = "pi-03", threads: int = 1, **fields: Any
) -> NightCell:
    """Return a cell with a verdict. Without other fields it has what such a cell has at least."""
    named = Cell("20240601-aa01", device, "digits", variant, RUNTIME, {"threads": threads})
    slot = f"{device} {variant} {threads}"
    return dataclasses.replace(
        NightCell(
            named,
            "latency_ns",
            "digits",
            slot,
            verdict,
            verdict.value,
            sql=f"SELECT run, p50 FROM v_history WHERE device = '{device}' AND variant = '{variant}'",
            rerun=f"benchfleet nightly run nightly.yaml --select {device}",
        ),
        **fields,
    )


def moved(verdict: NightVerdict, ratio: float, variant: str, **fields: Any) -> NightCell:
    """Return a cell that moved by a ratio."""
    return cell(
        verdict,
        variant,
        value=41_900 * ratio,
        expected=41_900.0,
        estimate=NightEstimate(Basis.RERUN, ratio, ratio - 0.0072, ratio + 0.0072, 41_900.0, 41_900.0 * ratio),
        baseline_trials=20,
        candidate_trials=20,
        detectable=0.011,
        baseline_runs=("20240601-bb02",),
        candidate_runs=("20240601-aa01", "20240601-bb02"),
        history=history(41_900.0, seed=round(ratio * 1000), gap=12),
        **fields,
    )


def clean(variant: str, device: str, threads: int = 1) -> NightCell:
    """Return a cell about which nothing is to be said."""
    return cell(
        NightVerdict.CLEAN,
        variant,
        device,
        threads,
        reason="as its history lets expect",
        value=83_800.0,
        expected=83_700.0,
        estimate=NightEstimate(Basis.HISTORY, 1.0012, 0.9961, 1.0064),
        candidate_trials=5,
        detectable=0.021,
    )


SLOWER = "slower than the baseline beyond the bound of look 3"
FINDINGS = (
    *(
        moved(NightVerdict.CONFIRMED, 1.050 + 0.002 * number, f"variant-{number}", reason=SLOWER, regression=7)
        for number in range(8)
    ),
    moved(
        NightVerdict.SUSPECTED,
        1.023,
        "fp16",
        reason="the night ended before the rerun",
        set_aside=("1 of 5 trials of the candidate, ×1.41 of the others",),
    ),
    cell(NightVerdict.MISSING, "dynamic", "coral-01", reason="link lost while it was measured"),
    cell(NightVerdict.DOES_NOT_LOAD, "pruned", reason="load-error: unknown operator"),
    moved(NightVerdict.CONFIRMED, 1.12, "known", known=True, regression=3, since="2024-05-20", reason=SLOWER),
    cell(NightVerdict.QUARANTINED, "fp32", threads=2, reason="too noisy since 2024-05-28", since="2024-05-28"),
    cell(NightVerdict.INCONCLUSIVE, "fp32", threads=4, reason="3 nights of history, 8 are needed"),
    moved(NightVerdict.ENVIRONMENT_CHANGED, 1.04, "fp32", reason="kernel 6.1.21 -> 6.6.31"),
    moved(NightVerdict.IMPROVED, 0.91, "int4", reason="faster than the baseline"),
    moved(NightVerdict.FIXED, 0.95, "int8-badcal", reason="back at its level before regression 5", regression=5),
    clean("fp32", "pi-04"),
    clean("int8", "pi-04"),
)
REPORT = NightReport(
    NIGHT,
    "digits-nightly",
    BEGAN,
    BEGAN + timedelta(hours=2, minutes=5),
    NightState.COMPLETE,
    ExitCode.REGRESSION,
    candidate=("digits at 4f2c9d1e", "runtime tflite-runtime==2.14.0"),
    baseline=("last-good, night n20240531-aa01",),
    devices=("coral-01", "pi-03", "pi-04"),
    device_time_s=7_500.0,
    extra_s=840.0,
    allowance=0.15,
    cells=FINDINGS,
    lost=(LostDevice("coral-01", NightStage.FIRST_LOOK, "connect: no route to host", "is it on?", 12),),
    canaries=(
        CanaryShift("pi-03", "latency_ns", 1.004, 2),
        CanaryShift("coral-01", "latency_ns", None, 0, "no canary has a value"),
    ),
    runs=(
        NightRun(NightStage.CANARY, "canary", "20240601-aa00"),
        NightRun(NightStage.FIRST_LOOK, "digits", "20240601-aa01"),
        NightRun(NightStage.CONFIRMATION, "digits", "20240601-bb02", 1),
    ),
    notes=("2024-05-28: kernel upgraded on all boards",),
)
QUIET = dataclasses.replace(
    REPORT,
    exit_code=ExitCode.FINE,
    cells=tuple(clean(variant, "pi-04") for variant in ("fp32", "int8")),
    lost=(),
    canaries=(),
    notes=(),
)


def hostile() -> NightReport:
    """Return a night in which every text of a person, a file or a device is hostile."""
    named = Cell(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    cells = tuple(
        dataclasses.replace(
            one,
            cell=named,
            metric=HOSTILE,
            sweep=HOSTILE,
            slot=HOSTILE,
            reason=HOSTILE,
            set_aside=(HOSTILE,),
            baseline_runs=(HOSTILE,),
            candidate_runs=(HOSTILE,),
            since=HOSTILE,
            sql=HOSTILE,
            rerun=HOSTILE,
        )
        for one in FINDINGS
    )
    return dataclasses.replace(
        REPORT,
        night=HOSTILE,
        nightly=HOSTILE,
        candidate=(HOSTILE,),
        baseline=(HOSTILE,),
        devices=(HOSTILE,),
        cells=cells,
        lost=(LostDevice(HOSTILE, NightStage.CANARY, HOSTILE, HOSTILE, 1),),
        canaries=(CanaryShift(HOSTILE, HOSTILE, None, 0, HOSTILE),),
        runs=(NightRun(NightStage.CANARY, HOSTILE, HOSTILE),),
        notes=(HOSTILE,),
    )


def large(cells: int, verdict: NightVerdict) -> NightReport:
    """Return a night of many cells with one verdict, on devices of twenty cells."""
    many = tuple(
        dataclasses.replace(
            moved(verdict, 1.03 + number / 100_000, f"variant-{number % 20}"),
            cell=Cell(
                "20240601-aa01", f"raspberry-pi-{number // 20:03d}", "mobilenet-v2-quantised",
                f"variant-{number % 20}", RUNTIME, {"threads": 4, "delegate": "xnnpack"},
            ),
            reason=SLOWER,
        )
        for number in range(cells)
    )  # fmt: skip
    return dataclasses.replace(REPORT, cells=many, devices=tuple({one.cell.device for one in many}), lost=())
