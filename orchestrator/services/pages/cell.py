"""Compose a cell in full, the distribution of its samples, and the command that measures the cell again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from orchestrator.domain.cell_details import AttemptDetails, CellDetails
from orchestrator.domain.cell_samples import CellSamples, DrawnTrial
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.sweep import setting_text
from orchestrator.services.pages.base import PageReader


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
    from orchestrator.analysis.distribution import histogram, quantiles, thinned

    blocks = reader.cells.samples(job, metric)
    if not blocks:
        require_cell(job, reader)
    bins = histogram([one.samples for one in blocks])
    drawn = []
    for place, one in enumerate(blocks):
        step, values = thinned(one.samples)
        counts, above = (bins.counts[place], bins.above[place]) if bins else ((), 0)
        drawn.append(
            DrawnTrial(
                one.attempt,
                one.trial_index,
                one.batch,
                len(one.samples),
                step,
                values,
                quantiles(one.samples),
                counts,
                above,
            )
        )
    return CellSamples(job, metric, bins.edges if bins else (), tuple(drawn))


def rerun_command(cell: CellDetails, trials: int = 5) -> str:
    """Return the command that measures the very cell again, by more trials of the same plan on the same device."""
    rule = {"variant": cell.cell.variant, "runtime": cell.cell.runtime}
    rule |= {name: setting_text(value) for name, value in sorted(cell.cell.settings.items())}
    cells = ",".join(f"{name}={_globbed(value)}" for name, value in rule.items())
    words = ["benchfleet", "runs", "resume", cell.cell.run, "--trials", f"+{trials}"]
    return shlex.join([*words, "--select", cell.cell.device, "--cells", cells])


def reported(attempts: Sequence[AttemptDetails]) -> Mapping[str, object]:
    """Return what the runtime said of itself in the newest attempt that said anything."""
    return next((one.runtime for one in reversed(attempts) if one.runtime), {})


def _globbed(value: str) -> str:
    # A comma would end the value, and a bracket begin a glob of its own.
    return "".join("?" if character in ",[" else character for character in value)
