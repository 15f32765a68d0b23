"""Read the results of a run once for all metrics of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.measurement import CellOutputs, CellResult
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import ExcludedCell
from orchestrator.store.base import Results


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Play the role `Results` for one comparison in known metrics.

    The trials of a run are read once for all the metrics, so that all figures are of one moment of a run under way.
    Other metrics are read as they are asked for.
    """

    results: Results
    metrics: Sequence[str]
    _read: dict[str, Mapping[str, Sequence[CellResult]]] = field(default_factory=dict)
    _excluded: dict[str, Sequence[ExcludedCell]] = field(default_factory=dict)

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return a row for each job of a run, jobs without any value included."""
        return self.results_in_metrics(run, (metric,))[metric]

    def results_in_metrics(self, run: str, metrics: Sequence[str]) -> Mapping[str, Sequence[CellResult]]:
        """Return the rows of `cell_results` for each metric."""
        if not set(metrics) <= set(self.metrics):
            return self.results.results_in_metrics(run, metrics)
        if run not in self._read:
            self._read[run] = self.results.results_in_metrics(run, self.metrics)
        return self._read[run]

    def valued_metrics(self, runs: Sequence[str]) -> frozenset[str]:
        """Return which of the metrics have a value in any of the runs."""
        found = (item for run in runs for item in self.results_in_metrics(run, self.metrics).items())
        return frozenset(metric for metric, cells in found if any(cell.trial_values for cell in cells))

    def measured_metrics(self, run: str) -> Sequence[str]:
        """Return the names of all metrics of the run's counted attempts, in alphabetical order."""
        return self.results.measured_metrics(run)

    def newest_run_with_results(self) -> str | None:
        """Return the id of the newest run with a measured trial, or None."""
        return self.results.newest_run_with_results()

    def earlier_run(self, sweep: str, but: str, started: datetime | None, ended: datetime | None) -> str | None:
        """Return the newest run of a sweep with a measured trial, but `but`: begun and over before two moments."""
        return self.results.earlier_run(sweep, but, started, ended)

    def variant_parents(self, run: str) -> Mapping[tuple[str, str], str | None]:
        """Return the parent of each variant of the run's models, by model and variant. The first variant has None."""
        return self.results.variant_parents(run)

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        """Return the cells left out of the devices' plans, with the reasons."""
        if run not in self._excluded:
            self._excluded[run] = self.results.excluded_cells(run)
        return self._excluded[run]

    def proof_remarks(self, run: str) -> Sequence[CellRemark]:
        """Return the cells whose preflight kept no outputs, or clipped inputs, with the reasons."""
        return self.results.proof_remarks(run)

    def cell_input_results(self, run: str) -> Sequence[CellInputResults]:
        """Return the results by input of a run's jobs: the preflight's, or else the first trial's with any."""
        return self.results.cell_input_results(run)

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        """Return the outputs of the preflights of a run. Jobs without outputs are left out."""
        return self.results.cell_outputs(run)
