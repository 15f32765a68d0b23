"""Hold the common words of the consoles of both databases."""

from __future__ import annotations

from orchestrator.domain.errors import ConfigError

LOCKED_OUT = "only reading is possible here"
HINT = "views to begin with: v_latest, v_history, v_variant_compare; the project's docs/schema.md lists everything"


def too_long(timeout_s: float) -> ConfigError:
    """Return the error of a statement ended by the time limit."""
    return ConfigError(f"the query took longer than {timeout_s:g} s", "ask for less")
