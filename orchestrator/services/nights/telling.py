"""Write a night's files and tell people about the night."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.message import Delivery, Recipient, recipients
from orchestrator.domain.night import NightReport
from orchestrator.domain.nightly import Nightly
from orchestrator.reporting.nights.files import HTML, refuse_unwritable, write_night
from orchestrator.reporting.nights.messages import messages
from orchestrator.services.nights.folder import NightFolder
from orchestrator.services.nights.outbox import untold
from orchestrator.specs.nightly import NIGHT_MARK

if TYPE_CHECKING:
    from orchestrator.services.base import NightWiring, TellingWiring


def output_files(nightly: Nightly, night: str) -> Mapping[str, Path]:
    """Return the files of a night, by format."""
    return {form: Path(path.replace(NIGHT_MARK, night)) for form, path in nightly.outputs.items()}


def check_outputs(nightly: Nightly, html: Path | None = None) -> None:
    """Make the folders of a night's files. Raise ConfigError for an unwritable place.

    `html` is a further file, in an existing folder.
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
    """Return a path up to the first part named by the night: all that is known before the night."""
    depth = next((place for place, part in enumerate(path.parts) if NIGHT_MARK in part), len(path.parts))
    return Path(*path.parts[: depth + 1])


def write_outputs(nightly: Nightly, report: NightReport, html: Path | None = None) -> tuple[ConfigError, ...]:
    """Write the files of a night, and return the errors: a file without room must not cost the other files."""
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
    """Return the recipients. Raise ConfigError for an unset variable, and for a bad address."""
    found = tuple(recipients(nightly.notify, os.environ))
    if found:
        wiring.messenger().refuse_bad(found)
    return found


def tell(nightly: Nightly, to: Sequence[Recipient], wiring: NightWiring) -> Iterator[Delivery]:
    """Send a message for each cause of each night that nobody has been told of, and yield the deliveries.

    A night is told once the messages are sent, whatever becomes of the messages.
    """
    for night in untold(nightly.name, NightFolder(Path(nightly.folder), wiring.cache()), wiring.store):
        news = messages(night.report)
        if news and to:
            yield from wiring.messenger().send(news, to)
        night.is_told()
