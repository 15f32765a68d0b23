"""Read the allowed failures from the text of a recorded sweep, without a parser's cost for sweeps without any."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.sweep import Setting


def allowed_in(document: str) -> tuple[Mapping[str, Setting], ...]:
    """Return the rules of `allow_failures` of a sweep, none for a text unreadable to the present release."""
    if "allow_failures" not in document:
        return ()
    # Imported late: a list of runs is typed all day, and most sweeps have no rule.
    from orchestrator.specs.sweep import allowed_failures

    try:
        return allowed_failures(document, "the recorded sweep")
    except ConfigError:  # an unreadable text must not keep a whole list of runs from being shown
        return ()
