"""Declare the files of a new lab."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import TEXT, Key, ListOf, Shape, View


@dataclass(frozen=True, slots=True)
class NewLab:
    """Hold the folder of a lab, and the files written there."""

    directory: Path
    written: Sequence[Path]


NEW_LAB = View[NewLab](
    "new-lab",
    "What `init` wrote.",
    (
        Key("directory", TEXT, "The lab's folder.", lambda lab: lab.directory),
        Key("written", ListOf(TEXT), "The files that were written; none was replaced.", lambda lab: lab.written),
    ),
)
_ROW = View[Path]("new-lab-row", "One file.", (Key("written", TEXT, "A file that was written.", lambda path: path),))
LAB = Shape[NewLab](NEW_LAB, _ROW, lambda lab: lab.written)


def lab_report(lab: NewLab) -> Report:
    """Return the files of a new lab as a report."""
    return Report(lab, LAB, lambda: "\n".join(_sentences(lab)))


def _sentences(lab: NewLab) -> Iterator[str]:
    yield from (f"wrote {path}" for path in lab.written)
    if not lab.written:
        yield f"{lab.directory} is complete already; nothing written"
    # A command to copy: it must run from the folder in which `init` was typed.
    there = "" if lab.directory.resolve() == Path.cwd() else f"cd {shlex.quote(str(lab.directory))} && "
    yield f"now: {there}benchfleet run sweeps/quickstart.yaml"
