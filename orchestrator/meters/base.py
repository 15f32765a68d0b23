"""Define what a power meter is to the rest of the controller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from orchestrator.domain.meter import Meter, MeterReading

OpenMeter = Callable[[Meter], "AbstractContextManager[MeterReader]"]


class MeterReader(Protocol):
    """Read a meter. A single thread calls `read`."""

    def read(self) -> Sequence[MeterReading]:
        """Return what is new since the last call: a present power, or all that a command has printed meanwhile.

        Raise MeterFailed. The next call may succeed.
        """
