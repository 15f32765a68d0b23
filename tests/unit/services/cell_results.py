"""Results of cells for comparisons, held in memory."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.comparison import Comparison, ComparisonRow
from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult
from orchestrator.domain.power import PowerUse
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import ExcludedCell
from orchestrator.domain.sweep import Setting

STEPS = (0.99, 0.995, 1.0, 1.005, 1.01)
TFLITE, LITERT = "tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"


@dataclass
class FakeResults:
    """Holds results; remembers which metric was asked for."""

    results: Sequence[CellResult]
    outputs: Sequence[CellOutputs] = ()
    input_results: Sequence[CellInputResults] = ()
    asked: str = ""
    metrics: Sequence[str] = ()
    newest: str | None = None
    excluded: Sequence[ExcludedCell] = ()
    parents: Mapping[str, str | None] = field(default_factory=dict)

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        self.asked = metric
        return [result for result in self.results if result.cell.run == run]

    def results_in_metrics(self, run: str, metrics: Sequence[str]) -> Mapping[str, Sequence[CellResult]]:
        return {metric: self.cell_results(run, metric) for metric in metrics}

    def measured_metrics(self, run: str) -> Sequence[str]:
        return self.metrics

    def newest_run_with_results(self) -> str | None:
        return self.newest

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        return self.excluded

    def earlier_run(self, sweep: str, but: str, started: datetime | None, ended: datetime | None) -> str | None:
        return None

    def variant_parents(self, run: str) -> Mapping[tuple[str, str], str | None]:
        return {(one.cell.model, variant): parent for one in self.results for variant, parent in self.parents.items()}

    def proof_remarks(self, run: str) -> Sequence[CellRemark]:
        return ()

    def power_uses(self, run: str) -> Sequence[PowerUse]:
        return ()

    def cell_input_results(self, run: str) -> Sequence[CellInputResults]:
        return [results for results in self.input_results if results.cell.run == run]

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        return [outputs for outputs in self.outputs if outputs.cell.run == run]


def result(
    variant: str,
    latency: float | None,
    device: str = "pi-03",
    runtime: str = TFLITE,
    settings: dict[str, Setting] | None = None,
    trials: int = 5,
) -> CellResult:
    values = () if latency is None else tuple(latency * step for step in STEPS[:trials])
    cell = Cell("r1", device, "digits", variant, runtime, {"threads": 1} if settings is None else settings)
    return CellResult(cell, "latency_ns", values, 0, 0, 0, None, None, None)


def only_row(comparison: Comparison) -> ComparisonRow:
    (row,) = comparison.rows
    return row


def outputs_of(cell: CellResult, *values: float) -> CellOutputs:
    return CellOutputs(cell.cell, 1, len(values), struct.pack(f"<{len(values)}f", *values), "dataset")
