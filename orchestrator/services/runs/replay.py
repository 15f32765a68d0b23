"""Write a cell of a run into a bundle, with which another controller runs the same cell again."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import rule_for
from orchestrator.domain.written_file import WrittenFile
from orchestrator.services.runs.cell import named_cells
from orchestrator.services.runs.replay_bundle import write_bundle
from orchestrator.services.runs.replayed_cell import Contents, replayed_cell
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import ReplayWiring
    from orchestrator.store.base import Roles

TAR_ENDING = ".tar"
_ID_DIGITS_MAX = 18
"""A longer number is no id: ids have 64 bits."""
_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Ask for the bundle of a cell. `named` is an attempt's id, or with `cell`, a rule for one cell, a run.

    `out` is the folder to be made, or the file if it ends in `.tar`.
    """

    named: str
    cell: str | None
    out: Path


def replay(request: ReplayRequest, wiring: ReplayWiring) -> WrittenFile:
    """Write the bundle of a cell, and return the folder or file. The bundle appears when everything is in it.

    Raise ConfigError for an unknown cell, for several cells, and for a place that is there or cannot be written. Raise
    BlobError, naming every missing content by hash, for contents that this controller has no more.
    """
    out = request.out
    if out.exists():
        raise ConfigError(f"{out}: is there already", "name a new one, or remove the old one")
    cell = replayed_cell(_job(request, wiring.store), wiring.store)
    contents = Contents.of(cell, wiring.cache())
    name = out.stem if _is_tar(out) else out.name
    with _incoming(out) as place:
        size_bytes = write_bundle(place / name, cell, contents, wiring)
        if _is_tar(out):
            size_bytes = _pack(place, name)
        for folder, _, _ in os.walk(place):
            _sync(Path(folder))
        (place / (out.name if _is_tar(out) else name)).rename(out)
        # The new name is an entry of the parent, and lost in a power cut until that is on the disk.
        _sync(out.absolute().parent)
    return WrittenFile(out, "tar" if _is_tar(out) else "folder", size_bytes)


def _job(request: ReplayRequest, store: Roles) -> int:
    named = request.named
    if request.cell is None and named.isascii() and named.isdecimal() and len(named) <= _ID_DIGITS_MAX:
        found = store.cells.job_of_attempt(int(named))
        if found is None:
            hint = "benchfleet runs show RUN --cell RULE lists attempts by id; a run goes with --cell"
            raise ConfigError(f"there is no attempt {named}", hint)
        return found
    if request.cell is None:
        cells = store.cells.jobs_of(require_run(store.runs, named).header.run)
    else:
        cells = named_cells(named, request.cell, store)
    if len(cells) != 1:
        rules = ", ".join(f"--cell {shlex.quote(rule_for(one.device, one.label))}" for one in cells[:_NAMED_MAX])
        hint = f"name one, such as {rules}" if cells else "benchfleet runs show RUN says what became of the run"
        raise ConfigError(f"a bundle has one cell, and {len(cells)} are named", hint)
    return cells[0].job


def _is_tar(out: Path) -> bool:
    return out.suffix == TAR_ENDING


@contextmanager
def _incoming(out: Path) -> Iterator[Path]:
    """Make a folder beside a bundle's place, and take the folder away at the end."""
    # Beside: only within one file system is a rename a single step.
    place = out.with_name(f".{out.name}.{os.getpid()}.incoming")
    try:
        try:
            place.mkdir(parents=True)
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        hint = "name a place with room that is yours"
        raise ConfigError(f"{out}: the bundle cannot be written: {error.strerror}", hint) from None


def _pack(place: Path, name: str) -> int:
    """Pack a folder into a tar file beside it. Return the size in bytes."""
    file = place / f"{name}{TAR_ENDING}"
    with file.open("xb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(path for path in (place / name).rglob("*") if path.is_file()):
                # Neither user nor date of this machine: the same cell gives the same bytes.
                member = tarfile.TarInfo(str(path.relative_to(place)))
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(member, content)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.seek(0, io.SEEK_END)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
