"""What processes that are timed see: this checkout's code, and bytecode kept as an installed package has it."""

from __future__ import annotations

import os
from pathlib import Path


def timed_environment() -> dict[str, str]:
    """Return the environment; without kept bytecode every start would compile every module, the peer's as well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(Path(__file__).parent.parent)}
