"""A night's report: which cells fail it, and which moved together."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import (
    Basis,
    CanaryShift,
    CanaryValue,
    CellMemory,
    LostDevice,
    NightCell,
    NightEstimate,
    NightReport,
    NightRun,
    NightStage,
    NightState,
    NightVerdict,
    grouped,
)
from orchestrator.domain.night_document import from_document, to_document


def a_cell(device: str, variant: str, verdict: NightVerdict, ratio: float | None) -> NightCell:
    estimate = None if ratio is None else NightEstimate(Basis.RERUN, ratio, ratio * 0.99, ratio * 1.01)
    cell = Cell("20261129-020000-1a2b", device, "digits", variant, "ai-edge-litert==2.3.0", {"threads": 1})
    return NightCell(cell, "latency_ns", "digits", f"digits|{variant}", verdict, "why", estimate=estimate)


def test_cells_that_moved_together_on_one_device_are_one_group() -> None:
    cells = [
        a_cell("pi-03", "fp32", NightVerdict.CONFIRMED, 1.05),
        a_cell("pi-03", "int8", NightVerdict.CONFIRMED, 1.30),
        a_cell("pi-03", "fp16", NightVerdict.CLEAN, 0.99),
        a_cell("nano-01", "int8", NightVerdict.CONFIRMED, 1.07),
    ]

    groups = grouped(cells)

    assert [[cell.cell.variant for cell in group.cells] for group in groups] == [["int8", "fp32"], ["fp16"], ["int8"]]
    assert groups[0].first.estimate is not None
    assert groups[0].first.estimate.ratio == 1.30


@pytest.mark.parametrize("verdict", NightVerdict)
def test_only_what_got_worse_fails_a_night(verdict: NightVerdict) -> None:
    cell = a_cell("pi-03", "fp32", verdict, 1.05)

    assert cell.fails is (verdict in {NightVerdict.CONFIRMED, NightVerdict.MISSING, NightVerdict.DOES_NOT_LOAD})
    assert not replace(cell, known=True).fails


def test_a_report_is_read_back_from_plain_data() -> None:
    memory = CellMemory(-0.1, 1e-4, 4.0, 2.2, 1.0, "abc", None, new_segment=True, change=0.3)
    known = replace(a_cell("pi-03", "fp32", NightVerdict.CONFIRMED, 1.05), memory=memory, set_aside=("one",))
    report = NightReport(
        night="digits-20261129",
        nightly="digits",
        began_at=datetime(2026, 11, 29, 2, tzinfo=UTC),
        ended_at=None,
        state=NightState.INCOMPLETE,
        exit_code=ExitCode.REGRESSION,
        candidate=("digits",),
        baseline=(),
        devices=("pi-03",),
        device_time_s=10.5,
        extra_s=1.0,
        allowance=0.08,
        cells=(known, a_cell("pi-03", "int8", NightVerdict.MISSING, None)),
        lost=(LostDevice("nano-01", NightStage.FIRST_LOOK, "gone", None, 3),),
        canaries=(CanaryShift("pi-03", "latency_ns", 1.01, 3),),
        canary_values=(CanaryValue("pi-03", "canary", "latency_ns", 7.6, "abc"),),
        runs=(NightRun(NightStage.CONFIRMATION, "digits", "20261129-020000-1a2b", 2),),
        notes=("a note",),
    )

    assert from_document(json.loads(json.dumps(to_document(report)))) == report

    of_another_release = {**to_document(report), "unheard": 1}
    del of_another_release["notes"]
    assert from_document(of_another_release) == replace(report, notes=())
    endless = replace(report, device_time_s=float("inf"))
    assert "Infinity" not in json.dumps(to_document(endless))
