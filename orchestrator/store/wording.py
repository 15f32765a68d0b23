"""Say in one line what went wrong with a trial."""

from __future__ import annotations


def describe_failure(kind: str | None, message: str | None) -> str:
    """Return a failure in one line: its kind, and what was said first."""
    said = (message or "").strip().splitlines()
    return ": ".join(part for part in (kind, said[0] if said else "") if part)
