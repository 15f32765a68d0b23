"""Write a night's files and tell people about the night."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.message import Delivery, Recipient, recipients
from orchestrator.domain.night import NightReport
from orchestrator.domain.nightly import Nightly
from orchestrator.reporting.nights.files import HTML, refuse_unwritable, write_night
from orchestrator.reporting.nights.messages import messages
from orchestrator.specs.nightly import NIGHT_MARK

if TYPE_CHECKING:
    from orchestrator.services.base import TellingWiring


def output_files(nightly: Nightly, night: str) -> Mapping[str, Path]:
    """Return the files that a night writes, by format."""
    return {form: Path(path.replace(NIGHT_MARK, night)) for form, path in nightly.outputs.items()}


def check_outputs(nightly: Nightly, html: Path | None = None) -> None:
    """Make the folders of a night's files. Raise ConfigError for a place that nobody can write to.

    `html` is one more file, whose folder must be there.
    """
    if html is not None:
        refuse_unwritable(HTML, html)
    for form, path in nightly.outputs.items():
        place = _known_place(Path(path))
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{place.parent}: cannot be made: {error.strerror}", f"change outputs.{form}") from None
        refuse_unwritable(form, place)


def _known_place(path: Path) -> Path:
    """Return the file or folder of a path that is the same for every night: the path up to a folder of one night."""
    depth = next((place for place, part in enumerate(path.parts) if NIGHT_MARK in part), len(path.parts))
    return Path(*path.parts[: depth + 1])


def write_outputs(nightly: Nightly, report: NightReport, html: Path | None = None) -> tuple[ConfigError, ...]:
    """Write the files of a night. Return what went wrong: one file without room must not cost the others."""
    files = [*output_files(nightly, report.night).items(), *([] if html is None else [(HTML, html)])]
    errors = []
    for form, path in files:
        try:
            # A folder that is named by the night is not there before the night is.
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_night(report, form, path)
        except ConfigError as error:
            errors.append(error)
    return tuple(errors)


def addresses(nightly: Nightly, wiring: TellingWiring) -> tuple[Recipient, ...]:
    """Return whom to tell. Raise ConfigError for a variable that is not set, and for a bad address."""
    found = tuple(recipients(nightly.notify, os.environ))
    if found:
        wiring.messenger().refuse_bad(found)
    return found


def tell(report: NightReport, to: Sequence[Recipient], wiring: TellingWiring) -> Sequence[Delivery]:
    """Send the messages of a night, one for each cause, and return what became of each."""
    news = messages(report)
    return wiring.messenger().send(news, to) if news and to else ()
