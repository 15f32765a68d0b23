"""Describe a trial's failure in a line."""

from __future__ import annotations


def describe_failure(kind: str | None, message: str | None) -> str:
    """Return a failure in a line: the kind, and the first line of the message."""
    said = (message or "").strip().splitlines()
    return ": ".join(part for part in (kind, said[0] if said else "") if part)
