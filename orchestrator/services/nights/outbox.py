"""Remember the nights that nobody has been told of, in files beside the nights' own.

Power may fail between the end of a night and the messages. A message may therefore be sent twice, and is never lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.night import NightReport
from orchestrator.domain.night_document import from_document
from orchestrator.domain.night_record import NightRecord
from orchestrator.services.nights.folder import NightFolder, stem_of
from orchestrator.store.base import Roles

_SUFFIX = ".untold"


@dataclass(frozen=True, slots=True)
class UntoldNight:
    """Hold the report of an ended night that nobody has been told of."""

    report: NightReport
    mark: Path

    def is_told(self) -> None:
        """Forget the night. A mark that stays, in a folder without write access, has the night told again."""
        with suppress(OSError):
            self.mark.unlink(missing_ok=True)


def remember(record: NightRecord, stem: str, folder: NightFolder) -> None:
    """Mark a night as untold. Call before the end of the night is on record. Raise ConfigError for a bad folder."""
    folder.write(stem + _SUFFIX, json.dumps({"nightly": record.nightly, "night": record.id}))


def untold(nightly: str, folder: NightFolder, store: Roles) -> Iterator[UntoldNight]:
    """Yield the ended nights of a nightly that nobody has been told of, the oldest first.

    Left out are nights that have not ended, and nights of another database.
    """
    database = store.leases.database_id()
    found = []
    for mark in folder.path.glob(f"*{_SUFFIX}"):
        record = _record_of(mark, nightly, store)
        if record is not None and record.report is not None and mark.name == stem_of(record, database) + _SUFFIX:
            found.append((record.began_at, UntoldNight(from_document(record.report), mark)))
    yield from (one for _, one in sorted(found, key=lambda pair: pair[0]))


def _record_of(mark: Path, nightly: str, store: Roles) -> NightRecord | None:
    try:
        words = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no file of ours, or told by another process just now
        return None
    if not isinstance(words, dict) or words.get("nightly") != nightly:
        return None
    record = store.nights.find_night(str(words.get("night", "")))
    return record if record is not None and record.id == words["night"] else None
