"""Take what a device says for what it should be, or refuse it: nobody has checked it yet, and people will read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from orchestrator.domain.blob import Blob
from orchestrator.domain.errors import WorkerFailed

_WORDS_MAX = 500
_LOG_ID_MAX = 200


def words(said: object) -> str:
    """Return a device's words on one line, bounded, without anything that a terminal would obey."""
    text = " ".join(str(said)[: 4 * _WORDS_MAX].split())
    return "".join(character if character.isprintable() else "?" for character in text)[:_WORDS_MAX]


def loader_answer(line: bytes) -> dict[str, Any]:
    """Return the object of a loader's line."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WorkerFailed(f"the loader's line is not JSON: {words(error)}") from error
    if not isinstance(answer, dict):
        raise WorkerFailed("the loader's line is not an object")
    return answer


def python_version(said: object) -> tuple[int, ...]:
    """Return the first two numbers of a version; 0 for what is none."""
    parts = str(said).split(".")[:2]
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 4 else 0 for part in parts)


def offsets(answer: Mapping[str, Any], blobs: Sequence[Blob]) -> dict[str, int]:
    """Return from where to upload each of these blobs that the device says it lacks."""
    sizes = {blob.sha256: blob.size for blob in blobs}
    missing = answer.get("missing")
    if not isinstance(missing, list):
        raise _senseless("about blobs", missing)
    found = {}
    for entry in missing:
        sha256, offset = (entry.get("sha256"), entry.get("offset")) if isinstance(entry, dict) else (None, None)
        if not isinstance(sha256, str) or sha256 not in sizes or not is_count(offset) or offset > sizes[sha256]:
            raise _senseless("about blobs", entry)
        found[sha256] = offset
    return found


def log_id(message: Mapping[str, Any]) -> str:
    """Return the identity of a log."""
    value = message.get("log_id")
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _LOG_ID_MAX:
        raise _senseless("about a log", value)
    return value


def sequence_numbers(message: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and the last number of the records that came."""
    first, last = message.get("first_seq"), message.get("last_seq")
    if not is_count(first) or not is_count(last) or not 1 <= first <= last:
        raise _senseless("about records", (first, last))
    return first, last


def end_of_log(message: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Return the identity and the last number of the log that was followed, or None where there is none."""
    last = message.get("last_seq")
    if last is not None and not is_count(last):
        raise _senseless("about the end of a log", last)
    return None if message.get("log_id") is None else log_id(message), last


def is_count(value: object) -> TypeGuard[int]:
    """Say whether something is a whole number that a database can hold, and not below zero."""
    return type(value) is int and 0 <= value < 1 << 63


def _senseless(about: str, said: object) -> WorkerFailed:
    return WorkerFailed(f"the worker's answer {about} makes no sense: {words(repr(said))[:120]}")
