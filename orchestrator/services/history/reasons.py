"""Refuse decisions without a reason."""

from __future__ import annotations

from orchestrator.domain.errors import ConfigError


def stated(reason: str, option: str = "--reason") -> str:
    """Return a reason without blanks around it. Raise ConfigError for an empty reason, or one of several lines."""
    text = reason.strip()
    if not text or not text.isprintable():
        raise ConfigError(f"{option} needs a line of text", "the next person will want to know why")
    return text
