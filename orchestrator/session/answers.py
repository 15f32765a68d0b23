"""Check the answers of a device, or refuse them.

A device may be broken or hostile. An unchecked answer would reach the database, and the terminals of people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from orchestrator.domain.blob import Blob
from orchestrator.domain.errors import WorkerFailed

_WORDS_MAX = 500
_LOG_ID_MAX = 200


def words(said: object) -> str:
    """Return a device's text on a single line of at most _WORDS_MAX printable characters."""
    # Cut first, so that an endless text costs nothing. Unprintable characters could be commands to a terminal.
    text = " ".join(str(said)[: 4 * _WORDS_MAX].split())
    return "".join(character if character.isprintable() else "?" for character in text)[:_WORDS_MAX]


def loader_answer(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a loader's line, or raise WorkerFailed."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WorkerFailed(f"the loader's line is not JSON: {words(error)}") from error
    if not isinstance(answer, dict):
        raise WorkerFailed("the loader's line is not an object")
    return answer


def python_version(said: object) -> tuple[int, ...]:
    """Return the first two numbers of a Python version, with 0 for a part that is no number."""
    parts = str(said).split(".")[:2]
    # isascii, since isdigit is true of characters such as "²", which int() refuses.
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 4 else 0 for part in parts)


def offsets(answer: Mapping[str, Any], blobs: Sequence[Blob]) -> dict[str, int]:
    """Return the offset in bytes from which to upload each missing blob, by SHA-256.

    Raise WorkerFailed if the device names a blob other than `blobs`, or an offset beyond the end of a blob.
    """
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
    """Return the identity of a log, or raise WorkerFailed."""
    value = message.get("log_id")
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _LOG_ID_MAX:
        raise _senseless("about a log", value)
    return value


def sequence_numbers(message: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and the last sequence number of a `records` message, or raise WorkerFailed."""
    first, last = message.get("first_seq"), message.get("last_seq")
    if not is_count(first) or not is_count(last) or not 1 <= first <= last:
        raise _senseless("about records", (first, last))
    return first, last


def end_of_log(message: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Return the identity and the last sequence number of the followed log, each None if the device has no log."""
    last = message.get("last_seq")
    if last is not None and not is_count(last):
        raise _senseless("about the end of a log", last)
    return None if message.get("log_id") is None else log_id(message), last


def is_count(value: object) -> TypeGuard[int]:
    """Return True for a whole number from 0 to the largest of a database's 64-bit column."""
    return type(value) is int and 0 <= value < 1 << 63  # not isinstance: True and False are ints too


def _senseless(about: str, said: object) -> WorkerFailed:
    return WorkerFailed(f"the worker's answer {about} makes no sense: {words(repr(said))[:120]}")
