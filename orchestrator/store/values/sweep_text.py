"""Read single keys from the text of a recorded sweep, without a parser's cost for sweeps without the key."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.sweep import Setting
from orchestrator.domain.tolerance import Tolerance


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


def tolerance_in(document: str) -> Tolerance | None:
    """Return the tolerance of `agreement` of a sweep, the default where it states none, None for an unreadable text."""
    if "agreement" not in document:
        return Tolerance()
    from orchestrator.specs.sweep import stated_tolerance

    try:
        return stated_tolerance(document, "the recorded sweep") or Tolerance()
    except ConfigError:  # the records of a device are stored whatever became of the text
        return None
