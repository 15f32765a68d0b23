"""Pin and accept baselines: the levels to compare later runs with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.domain.baseline import Baseline, BaselineKind, NewBaseline, checked_name
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.metric import metric_named
from orchestrator.domain.nearest import all_known, did_you_mean
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.run import RunRecord
from orchestrator.services.history.reasons import stated
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring, HasRecords
    from orchestrator.store.base import Results, Roles


@dataclass(frozen=True, slots=True)
class Cells:
    """Pick cells of a run by globs, and a metric of the cells. None stands for all."""

    device: str | None = None
    variant: str | None = None
    runtime: str | None = None
    metric: str | None = None

    @property
    def narrows(self) -> bool:
        """Say whether cells are left out."""
        return (self.device, self.variant, self.runtime) != (None, None, None)


@dataclass(frozen=True, slots=True)
class LevelRequest:
    """Ask for a run's values to become the level of a baseline. `run` is an id, a unique beginning or "last"."""

    name: str
    run: str
    reason: str
    cells: Cells = Cells()


def pin(request: LevelRequest, wiring: FleetWiring) -> Sequence[Baseline]:
    """Pin a run as the baseline of a name.

    Raise ConfigError for a name like a run's id, an unknown run, a run under way or without results, and an empty
    reason.
    """
    return _record(request, BaselineKind.PINNED, wiring)


def accept(request: LevelRequest, wiring: FleetWiring) -> Sequence[Baseline]:
    """Accept the levels of a run's cells as the baseline. A new segment of the history begins.

    The standing regressions of these cells are accepted too, where the name is a nightly's. Raise the errors of `pin`,
    and ConfigError where no cell of the run is picked, or for an unknown metric.
    """
    return _record(request, BaselineKind.ACCEPTED, wiring)


def list_baselines(wiring: HasRecords) -> Sequence[Baseline]:
    """Return the present levels of all baselines."""
    return wiring.store.baselines.present_levels()


def show_baseline(name: str, wiring: HasRecords) -> Sequence[Baseline]:
    """Return every present and former level of a baseline, the oldest first. Raise ConfigError for an unknown name."""
    return require_baseline(name, wiring.store)


def require_baseline(name: str, store: Roles) -> Sequence[Baseline]:
    """Return the levels of a baseline. Raise ConfigError for an unknown name."""
    levels = store.baselines.levels(name)
    if not levels:
        known = sorted({one.name for one in store.baselines.present_levels()})
        hint = did_you_mean(name, known) if known else "benchfleet baseline pin NAME RUN --reason TEXT makes one"
        raise ConfigError(f"there is no baseline {name!r}", hint)
    return levels


def _record(request: LevelRequest, kind: BaselineKind, wiring: FleetWiring) -> Sequence[Baseline]:
    name, reason = checked_name(request.name), stated(request.reason)
    record = require_run(wiring.store.runs, request.run)
    measured = _measured(record, wiring.store.results)
    cells = request.cells
    metric = None if cells.metric is None else metric_named(cells.metric).name
    if metric is not None and metric not in measured:
        raise ConfigError(f"no trial of run {record.header.run} measured {cells.metric!r}", all_known(measured))
    series = _picked(cells, record.header.run, wiring.store.results) if cells.narrows else ()
    new = NewBaseline(name, record.header.run, kind, wiring.identity().holder, reason, series, metric)
    return wiring.store.baselines.record(new)


def _measured(record: RunRecord, results: Results) -> Sequence[str]:
    """Return the metrics of a run. Raise ConfigError for a run under way or without results."""
    run = record.header.run
    # Trials to come would still move the values of the run, and the level with the values.
    if record.finished_at is None:
        raise ConfigError(f"run {run} is under way", f"benchfleet runs follow {run} waits for its end")
    measured = results.measured_metrics(run)
    if not measured:
        raise ConfigError(f"run {run} has no results", f"benchfleet runs show {run} says why")
    return measured


def _picked(cells: Cells, run: str, results: Results) -> tuple[int, ...]:
    found = results.cell_results(run, cells.metric or HEADLINE_METRIC)
    picked = tuple(
        one.series
        for one in found
        if one.series is not None
        and fnmatchcase(one.cell.device, cells.device or "*")
        and fnmatchcase(one.cell.variant, cells.variant or "*")
        and fnmatchcase(one.cell.runtime, cells.runtime or "*")
    )
    if not picked:
        raise ConfigError(f"no cell of run {run} is picked", f"benchfleet runs show {run} lists the cells")
    return picked
