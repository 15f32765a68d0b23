"""Hand out the raw samples of cells: as rows, or as a file for other programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.export import CELL_SAMPLES, SampleFormat
from orchestrator.domain.metric import metric_named, sampled_quantile
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.exports.tables import sample_writer_of
from orchestrator.reporting.one_file import unwritable
from orchestrator.services.runs.cell import in_words, named_cells
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.domain.export import SampleBlock
    from orchestrator.services.base import HasRecords


@dataclass(frozen=True, slots=True)
class SamplesRequest:
    """Ask for the raw samples of cells of a run. `cell` is a rule or a cell in words, `metric` may be an alias."""

    run: str
    cell: str
    metric: str = HEADLINE_METRIC


def sample_rows(request: SamplesRequest, wiring: HasRecords) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    """Return the columns, and a row for each sample of the counted measure trials.

    Raise ConfigError for an unknown run, for a rule that names no cell, and for cells without samples of the metric.
    """
    blocks = _blocks(request, wiring)

    def rows() -> Iterator[Sequence[Any]]:
        for block in blocks:
            for position, value in enumerate(block.samples.tolist()):
                yield (*block.same, position, value)

    return tuple(CELL_SAMPLES), rows()


def write_samples(request: SamplesRequest, path: Path, form: SampleFormat, wiring: HasRecords) -> WrittenFile:
    """Write the raw samples of cells into a file, which changes as a whole or stays. Raise ConfigError as above."""
    opener = sample_writer_of(form)
    blocks = _blocks(request, wiring)
    incoming = path.with_name(f".{path.name}.{os.getpid()}.incoming")
    try:
        try:
            with opener(incoming, CELL_SAMPLES) as table:
                for block in blocks:
                    table.write_block(block)
            # On the disk before the name is: after a power cut the name must not lead to an empty file.
            with incoming.open("rb") as stream:
                os.fsync(stream.fileno())
            incoming.replace(path)
        finally:
            incoming.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, "the samples", error) from None
    return WrittenFile(path, form.value, path.stat().st_size, table.rows)


def _blocks(request: SamplesRequest, wiring: HasRecords) -> Iterator[SampleBlock]:
    """Return the blocks of samples, of which there is at least one."""
    store = wiring.store
    cells = named_cells(request.run, request.cell, store)
    metric = metric_named(request.metric).name
    # Percentiles are of the samples of the metric itself.
    sampled = (sampled_quantile(metric) or (metric, ""))[0]
    blocks = iter(store.exports.cell_sample_blocks([one.job for one in cells], sampled))
    first = next(blocks, None)
    if first is None:
        run = require_run(store.runs, request.run).header.run
        if pruned := store.retention.pruned(run):
            raise ConfigError(f"run {run}: {pruned.sentence}", f"benchfleet runs show {run} --cell RULE")
        named = in_words(cells[0]) if len(cells) == 1 else f"{len(cells)} cells"
        raise ConfigError(
            f"{named}: no raw samples of {sampled}",
            "trials report one number of it, or no trial counts: benchfleet runs show RUN --cell RULE says which",
        )

    def all_blocks() -> Iterator[SampleBlock]:
        yield first
        yield from blocks

    return all_blocks()
