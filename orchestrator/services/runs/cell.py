"""Read single cells of a run: attempts, conditions, and the distribution of raw samples."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.cell_details import CellDetails, RunJob
from orchestrator.domain.cell_distribution import CellInMetric, Histogram
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import names_cell, read_rule, rule_for, with_model
from orchestrator.domain.metric import Metric, metric_named, sampled_quantile
from orchestrator.domain.nearest import all_known
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import Cells, Roles

CELLS_MAX = 12
"""So many cells are read by one request: each has all its samples read."""


@dataclass(frozen=True, slots=True)
class CellRequest:
    """Ask for cells of a run. `cell` is a rule of names and globs, or a cell in words. `metric` may be an alias."""

    run: str
    cell: str
    metric: str = HEADLINE_METRIC


def show_cells(request: CellRequest, wiring: HasRecords) -> Sequence[CellInMetric]:
    """Return the cells of a run that a rule names, in the order of the plans.

    Raise ConfigError for an unknown run, for a rule that matches no cell, and for more than CELLS_MAX.
    """
    store, metric = wiring.store, metric_named(request.metric)
    picked = named_cells(request.run, request.cell, store)
    if len(picked) > CELLS_MAX:
        hint = "narrow the rule, such as by device=NAME"
        raise ConfigError(f"--cell matches {len(picked)} cells, of which one call shows {CELLS_MAX}", hint)
    found = (store.cells.cell(one.job) for one in picked)
    return [_in_metric(one, metric, store) for one in found if one is not None]


def named_cells(run: str, cell: str, store: Roles) -> Sequence[RunJob]:
    """Return the cells of a run that a rule names. Raise ConfigError for an unknown run, and where there is none."""
    cells = store.cells.jobs_of(require_run(store.runs, run).header.run)
    picked = [one for one in cells if _is_named(cell, one)]
    if not picked:
        raise ConfigError("--cell matches no cell of the run", all_known([in_words(one) for one in cells]))
    return picked


def in_words(cell: RunJob) -> str:
    """Return a cell in words, as `--cell` takes a cell."""
    return f"{cell.device} · {cell.label}"


def _is_named(text: str, cell: RunJob) -> bool:
    # A run of one model names no model, and people name the model nevertheless.
    named = with_model(cell.label, cell.model)
    if text in (cell.label, in_words(cell), named, f"{cell.device} · {named}"):
        return True
    # Words of a table that are no rule match nothing else.
    return " · " not in text and names_cell([read_rule(text, "--cell")], cell.device, named)


def _in_metric(details: CellDetails, metric: Metric, store: Roles) -> CellInMetric:
    found = _histogram(details, metric.name, store.cells)
    rule = rule_for(details.cell.device, details.label)
    # Of the same run, and not of the sweep: the plan on record names the very bytes.
    again = shlex.join(["benchfleet", "runs", "resume", details.cell.run, "--trials", "+1", "--cells", rule])
    unsampled = None if found is not None else _unsampled(details, metric.name, store)
    elsewhere = shlex.join(["benchfleet", "replay", details.cell.run, "--cell", rule, "-o", "bundle"])
    return CellInMetric(details, metric.name, metric.unit, found, unsampled, (again, elsewhere))


def _histogram(details: CellDetails, metric: str, records: Cells) -> Histogram | None:
    # Imported late: numpy takes its time, and the rest of a run is shown without.
    from orchestrator.analysis.histogram import histogram

    sampled = (sampled_quantile(metric) or (metric, ""))[0]
    return histogram(sampled, {one.trial_index: one.samples for one in records.samples(details.job, sampled)})


def _unsampled(details: CellDetails, metric: str, store: Roles) -> str:
    if not any(one.counted and one.kind == TrialKind.MEASURE.value for one in details.attempts):
        return "no trial counts"
    reason = next((one.absent[metric] for one in details.attempts if metric in one.absent), None)
    if reason is not None:
        return f"no value of {metric}: {reason}"
    if pruned := store.retention.pruned(details.cell.run):
        return pruned.sentence
    return f"no raw samples of {metric}: trials report one number of it, or none"
