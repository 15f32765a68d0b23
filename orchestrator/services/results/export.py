"""Export measurements and raw samples into files that other programs read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.export import MEASUREMENTS, SAMPLES, ExportFormat
from orchestrator.domain.series_history import Window
from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.exports.tables import Opener, writer_of
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import ExportRecords


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Ask for an export of a run, or of the runs within a window where `run` is None.

    `folder` must not be there yet. `samples` adds raw samples. `all_attempts` adds the measurements that do not count.
    """

    folder: Path
    form: ExportFormat
    run: str | None = None
    window: Window | None = None
    samples: bool = False
    all_attempts: bool = False


def export(
    request: ExportRequest, wiring: HasRecords, told: Callable[[str], None] = lambda _: None
) -> Sequence[WrittenFile]:
    """Write an export, and return its files. The folder appears when everything is in it and on the disk.

    `told` gets a line for each run whose raw samples were asked for, and are gone. Raise ConfigError for a folder that
    is there, for a place that cannot be written, and where no run is to be exported.
    """
    opener = writer_of(request.form)
    if request.folder.exists():
        raise ConfigError(f"{request.folder}: is there already", "name a new folder, or remove the old one")
    runs = _runs(request, wiring)
    # Beside the folder: only within one file system is a rename a single step.
    incoming = request.folder.with_name(f".{request.folder.name}.{os.getpid()}.incoming")
    try:
        try:
            incoming.mkdir(parents=True)
            written = [one for run in runs for one in _export_run(run, incoming, opener, (request, wiring))]
            _sync_folders(incoming)
            incoming.rename(request.folder)
            # The new name is an entry of the parent, and lost in a power cut until that is on the disk.
            _sync(request.folder.absolute().parent)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    except OSError as error:
        raise ConfigError(
            f"{request.folder}: the export cannot be written: {error.strerror}", "name a place with room that is yours"
        ) from None
    for run in runs if request.samples else ():
        if pruned := wiring.store.retention.pruned(run):
            told(f"run {run}: {pruned.sentence}")
    return [
        WrittenFile(request.folder / one.path.relative_to(incoming), one.format, one.size_bytes, one.rows)
        for one in written
    ]


def _runs(request: ExportRequest, wiring: HasRecords) -> Sequence[str]:
    if request.run is not None:
        return [require_run(wiring.store.runs, request.run).header.run]
    found = wiring.store.exports.runs_within(request.window or Window())
    if not found:
        raise ConfigError("no run began in that time", "benchfleet runs list shows the runs; is it the right --db?")
    return found


def _export_run(
    run: str, folder: Path, opener: Opener, asked: tuple[ExportRequest, HasRecords]
) -> Sequence[WrittenFile]:
    request, wiring = asked
    records = wiring.store.exports
    written: list[WrittenFile] = []
    for device in [one.device for one in require_run(wiring.store.runs, run).devices]:
        # A folder for each value: DuckDB, pandas and Spark read the names of such folders as columns.
        place = Path(f"run={quote(run, safe='')}", f"device={quote(device, safe='')}", f"part-0.{request.form.value}")
        written += _measurements(folder / "measurements" / place, opener, (run, device, request), records)
        if request.samples:
            written += _samples(folder / "samples" / place, opener, (run, device, request), records)
    return written


def _measurements(
    path: Path, opener: Opener, asked: tuple[str, str, ExportRequest], records: ExportRecords
) -> Sequence[WrittenFile]:
    run, device, request = asked
    path.parent.mkdir(parents=True)
    with opener(path, MEASUREMENTS) as table:
        for rows in records.measurement_rows(run, device, counted_only=not request.all_attempts):
            table.write(rows)
    return _kept(path, request.form, table.rows)


def _samples(
    path: Path, opener: Opener, asked: tuple[str, str, ExportRequest], records: ExportRecords
) -> Sequence[WrittenFile]:
    run, device, request = asked
    path.parent.mkdir(parents=True)
    with opener(path, SAMPLES) as table:
        for block in records.sample_blocks(run, device):
            table.write_block(block)
    return _kept(path, request.form, table.rows)


def _kept(path: Path, form: ExportFormat, rows: int) -> Sequence[WrittenFile]:
    """Return a file that is on the disk, or none for a file without rows, which is taken away."""
    if not rows:  # a reader would have to guess its columns' kinds
        path.unlink()
        path.parent.rmdir()
        return ()
    _sync(path)
    return (WrittenFile(path, form.value, path.stat().st_size, rows),)


def _sync_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
