"""Say what a session does, and where it is when something fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.domain.conversation import Report, RungClimbed, Step, StepBegan
from orchestrator.domain.errors import DeviceError
from orchestrator.domain.recovery import Rung

Emit = Callable[[Report], None]
Result = TypeVar("Result")


class Teller:
    """Tells whoever sets `emit`; `step` is what an error names."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.step = Step.CONNECT
        self.emit: Emit = _nobody

    def begin(self, step: Step, detail: str = "") -> None:
        """Enter a step; `detail` is for people."""
        self.step = step
        self.emit(StepBegan(self._device, step, detail))

    def climb(self, rung: Rung, reason: str, action: Callable[[], Result]) -> Result:
        """Do what a rung of the recovery ladder asks for, and tell whether it helped; DeviceError is passed on."""
        began = time.monotonic()
        try:
            result = action()
        except DeviceError as failure:
            self.climbed(rung, reason or str(failure), time.monotonic() - began, succeeded=False)
            raise
        self.climbed(rung, reason, time.monotonic() - began, succeeded=True)
        return result

    def climbed(self, rung: Rung, reason: str, took_s: float, *, succeeded: bool) -> None:
        """Tell what came of a rung."""
        self.emit(RungClimbed(self._device, rung, reason, succeeded, took_s))


def _nobody(report: Report) -> None:
    raise AssertionError(f"nobody listens to {report}")
