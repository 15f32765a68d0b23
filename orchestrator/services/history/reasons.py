"""Refuse decisions without a reason."""

from __future__ import annotations

from orchestrator.domain.errors import ConfigError


def stated(reason: str, option: str = "--reason") -> str:
    """Return a reason without outer blanks. Raise ConfigError for an empty reason, or a reason of several lines."""
    text = reason.strip()
    # Tables and messages show a reason on a line, to other people too.
    if not text or not text.isprintable():
        raise ConfigError(f"{option} needs a line of text", "the next person will want to know why")
    return text
