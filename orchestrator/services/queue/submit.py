"""Put a run into the database with everything that it needs, for a daemon to carry out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.blob import Blob
from orchestrator.domain.duration import parse_duration_s
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.increment import Increment
from orchestrator.domain.need import Need
from orchestrator.domain.run_words import NewWords
from orchestrator.domain.submission import NewSubmission, ParcelFile, Submission, checked_priority
from orchestrator.services.devices.needed import ALL
from orchestrator.services.queue.expected import expected_s
from orchestrator.services.queue.parcel import pack
from orchestrator.services.runs.commit import commit_of
from orchestrator.services.runs.start import new_run

if TYPE_CHECKING:
    from orchestrator.services.base import QueueWiring
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import Roles

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """Ask for a run by a daemon. `overrides`, `words`, `increment` and `origin` mean the same as in `StartRequest`."""

    sweep: Path
    select: str = "all"
    priority: int = 0
    not_before: datetime | None = None
    overrides: tuple[str, ...] = ()
    words: NewWords = field(default_factory=NewWords)
    increment: Increment | None = None
    window: str | None = None
    origin: Path | None = None


def submit(request: SubmitRequest, wiring: QueueWiring, told: Told = lambda _: None) -> Submission:
    """Submit a sweep, and return the submission. `told` gets a line for each content that is sent.

    A call that was cut off has submitted nothing, and a second call sends what was missing. Raise ConfigError, with
    nothing submitted, for a wrong request or sweep.
    """
    priority = checked_priority(request.priority)
    file = wiring.sweep_file(request.sweep, request.overrides)
    identity = wiring.identity()
    store = wiring.store
    need = file.sweep.need if request.select == ALL else None
    files = send_parcel(file, wiring, told)
    origin = request.origin or request.sweep.absolute().parent
    new = NewSubmission(
        run=new_run(file, {}).run,
        holder=identity.holder,
        sweep=file.sweep.name,
        source=str(request.sweep.absolute()),
        select=need.select if need else request.select,
        priority=priority,
        files=files,
        not_before=request.not_before,
        words=replace(request.words, who=identity.holder, commit=commit_of(origin)),
        device_s=None if need else expected_here(file, request.select, wiring),
        settings=settings_of(request.increment, need),
        window=request.window,
    )
    return store.submissions.submit(new)


def settings_of(increment: Increment | None, need: Need | None) -> Mapping[str, Any]:
    """Return what a run is asked for beside the sweep."""
    return {**(increment.settings if increment else {}), **(need.settings if need else {})}


def read_not_before(text: str, now: datetime | None = None) -> datetime:
    """Return the moment of `22:00` (the next one here), of a date with a time, or of a length such as `8h` from now.

    Raise ConfigError for another text. A time without a zone is local.
    """
    now = now or datetime.now(UTC)
    try:
        if len(text) == len("22:00"):
            local = datetime.combine(now.astimezone().date(), time.fromisoformat(text)).astimezone()
            return local if local > now else (local.replace(tzinfo=None) + timedelta(days=1)).astimezone()
        if "-" in text:
            return datetime.fromisoformat(text).astimezone()
        return now + timedelta(seconds=parse_duration_s(text, "--not-before"))
    except ValueError:
        raise ConfigError(
            f"--not-before {text!r} is no moment", "such as 22:00, 2026-12-24T22:00, or 8h for eight hours from now"
        ) from None


def send_parcel(file: SweepFile, wiring: QueueWiring, told: Told) -> tuple[ParcelFile, ...]:
    """Store every file of a sweep in the database, and return the parcel. `told` gets a line for each content sent."""
    blobs = pack(file, wiring.cache())
    for name, blob in blobs.items():
        upload(name, blob, wiring.cache().path(blob), wiring.store, told)
    return tuple(ParcelFile(name, blob.sha256, blob.size) for name, blob in sorted(blobs.items()))


def upload(name: str, blob: Blob, path: Path, store: Roles, told: Told) -> None:
    """Store what the database lacks of a content."""
    size, missing = store.vault.begin_blob(blob.sha256, blob.size)
    if missing:
        told(f"sending {name}: {_amount(blob.size, size, missing)}")
        with path.open("rb") as stream:
            for position in missing:
                stream.seek(position * size)
                store.vault.put_chunk(blob.sha256, position, stream.read(size))
    # In any case: an upload may have been cut off behind its last chunk.
    store.vault.finish_blob(blob.sha256)


def _amount(whole: int, size: int, missing: Sequence[int]) -> str:
    sent = sum(min(size, whole - position * size) for position in missing)
    return f"{sent} bytes" if sent == whole else f"{sent} bytes of {whole}, the others are there"


def expected_here(file: SweepFile, select: str, wiring: QueueWiring) -> Mapping[str, float | None] | None:
    """Return the devices with the expected seconds, None where this machine's inventory has no such devices."""
    try:
        devices = wiring.inventory().select(select)
    except ConfigError:
        # The daemon's inventory decides. A laptop needs none.
        return None
    return expected_s(file, [device.name for device in devices], wiring.store)
