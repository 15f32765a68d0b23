"""Bound the log of an honest runner by the runner's plan."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Bound a followed log: the seconds between two new records, and the number of records of a whole run.

    The defaults are no bounds.
    """

    silence_s_max: float = math.inf
    records_max: float = math.inf


UNBOUNDED = LogBounds()
