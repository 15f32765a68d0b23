"""Gather what a report of a run shows: results, comparison, what changed, and environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.comparison import Comparison
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import CellResult, cell_label
from orchestrator.domain.run_report import CellLevel, RunReport
from orchestrator.services.results.difference import DifferenceRequest, run_difference
from orchestrator.services.results.request import CompareRequest, compare_run
from orchestrator.services.runs.show import show

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords


def run_report(run: str, against: str | None, wiring: HasRecords) -> RunReport:
    """Return a run to be reported. `against` names another run as `compare` does, and None compares variants.

    Raise ConfigError for runs that there are not.
    """
    details = show(run, wiring.store)
    run = details.record.header.run
    comparison, reason = _compared(run, against, wiring)
    difference = None
    if against is not None and comparison is not None and wiring.store.runs.find_run(comparison.base) is not None:
        difference = run_difference(DifferenceRequest(comparison.base, run), wiring)
    environments = wiring.store.builds.run_environments(run)
    return RunReport(details, tuple(levels_of(details.results)), comparison, reason, difference, environments)


def _compared(run: str, against: str | None, wiring: HasRecords) -> tuple[Comparison | None, str | None]:
    request = CompareRequest(run, against=against, metrics=())
    if against is not None:
        return compare_run(request, wiring), None
    try:
        return compare_run(request, wiring), None
    except ConfigError as error:  # a run of one variant has nothing to compare, and is reported all the same
        return None, str(error)


def levels_of(results: Sequence[CellResult]) -> Iterator[CellLevel]:
    """Yield the figure of each cell, in the order of devices. Noise is learnt from all cells of a device."""
    # Imported late: scipy takes its time.
    from orchestrator.analysis.levels import levels

    several = len({one.cell.model for one in results}) > 1
    for device in dict.fromkeys(one.cell.device for one in results):
        cells = [one for one in results if one.cell.device == device]
        for cell, level in zip(cells, levels([one.trial_values for one in cells]), strict=True):
            label = cell_label(cell.cell, several)
            trials = len(cell.trial_values)
            if level is None:
                yield CellLevel(device, label, None, None, None, trials, _reason(cell))
            else:
                yield CellLevel(device, label, level.value, level.low, level.high, trials)


def _reason(cell: CellResult) -> str:
    if cell.rejected is not None:
        return cell.rejected
    counts = (("invalid", cell.invalid), ("failed", cell.failed), ("missing", cell.missing))
    words = [f"{count} {name}" for name, count in counts if count]
    return ", ".join(words) or "no trial has a latency above zero"
