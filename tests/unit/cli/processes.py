"""What a process that runs the command is given."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def environment(**changes: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BENCHFLEET_", "COV_", "PYTEST")) and name not in ("NO_COLOR", "COLUMNS")
    }
    return {**kept, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", **changes}
