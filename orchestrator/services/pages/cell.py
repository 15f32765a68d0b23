"""Compose a cell in full, the distribution of its samples, and the command that measures the cell again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from orchestrator.domain.cell_details import AttemptDetails, CellDetails
from orchestrator.domain.cell_samples import CellSamples, DrawnTrial
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import rule_for
from orchestrator.services.pages.base import PageReader

_REASONS = {"unknown", "discarded"}
"""Conditions that hold the reasons for readings that are not there, or were left out."""


def require_cell(job: int, reader: PageReader) -> CellDetails:
    """Return a cell by the id of its job. Raise ConfigError for an unknown id."""
    found = reader.cells.cell(job)
    if found is None:
        raise ConfigError(f"there is no cell {job}", "a run's page leads to its cells")
    return found


def sampled_metrics(cell: CellDetails) -> Sequence[str]:
    """Return the metrics with raw samples, in the order of the attempts."""
    found = (name for one in cell.attempts for name, summary in one.metrics.items() if summary.samples)
    return list(dict.fromkeys(found))


def cell_samples(job: int, metric: str, reader: PageReader) -> CellSamples:
    """Return the samples of a cell's counted trials in a metric; no trial for a metric without samples.

    Raise ConfigError for an unknown cell, and StoreError for samples that do not read.
    """
    # Late: numpy takes a tenth of a second, and most pages show no samples.
    from orchestrator.analysis.distribution import quantiles, thinned
    from orchestrator.analysis.histogram import histogram

    blocks = reader.cells.samples(job, metric)
    # No samples, or no such cell: only the second is an error.
    if not blocks:
        pruned = reader.retention.pruned(require_cell(job, reader).cell.run)
        return CellSamples(job, metric, (), (), None if pruned is None else pruned.sentence)
    # By place: the number of a trial is the device's word.
    found = histogram(metric, dict(enumerate(one.samples for one in blocks)))
    bins = found.bins if found else ()
    columns = {place: at for at, place in enumerate(found.trials)} if found else {}
    drawn = []
    for place, one in enumerate(blocks):
        step, values = thinned(one.samples)
        at = columns.get(place)
        counts = tuple(0 if at is None else each.counts[at] for each in bins)
        number, shares = len(one.samples), quantiles(one.samples)
        drawn.append(DrawnTrial(one.attempt, one.trial_index, one.batch, number, step, values, shares, counts))
    edges = (bins[0].low, *(each.high for each in bins)) if bins else ()
    return CellSamples(job, metric, edges, tuple(drawn))


def rerun_command(cell: CellDetails) -> str:
    """Return the command that measures the very cell again, by one more trial of the same plan on the same device."""
    rule = rule_for(cell.cell.device, cell.label)
    return shlex.join(["benchfleet", "runs", "resume", cell.cell.run, "--trials", "+1", "--cells", rule])


def reported(attempts: Sequence[AttemptDetails]) -> Mapping[str, object]:
    """Return what the runtime said of itself in the newest attempt that said anything."""
    return next((one.runtime for one in reversed(attempts) if one.runtime), {})


def known_readings(attempts: Sequence[AttemptDetails]) -> Sequence[str]:
    """Return the names of the conditions that are known of some attempt, in order."""
    sides = (side for one in attempts for side in (one.before, one.after))
    return sorted({name for side in sides for name, value in side.items() if value is not None} - _REASONS)
