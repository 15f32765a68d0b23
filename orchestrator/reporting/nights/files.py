"""Write a night into files, each in a format and at once."""

from __future__ import annotations

import io
import os
from pathlib import Path

from orchestrator.domain.night import NightReport
from orchestrator.reporting.one_file import unwritable, write_whole

HTML = "html"
"""The format of files alone. All others are those of `--format`."""


def write_night(report: NightReport, form: str, path: Path) -> None:
    """Write a night into a file. The file changes as a whole, or stays. Raise ConfigError for an unwritable place."""
    write_whole(path, _written(report, form), f"the {form} of the night")


def refuse_unwritable(form: str, path: Path) -> None:
    """Raise ConfigError for an unwritable place. A night of hours must not end without its file."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        probe = path.with_name(f".{path.name}.{os.getpid()}.incoming")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise unwritable(path, f"the {form} of the night", error) from None


def _written(report: NightReport, form: str) -> str:
    # Imported where needed: most nights write no page, and need no template engine.
    if form == HTML:
        from orchestrator.reporting.nights.digest import digest

        return digest(report)
    from orchestrator.reporting.formats import FORMATS
    from orchestrator.reporting.reports.night import night_report

    stream = io.StringIO()
    FORMATS[form].write(night_report(report), stream)
    return stream.getvalue()
