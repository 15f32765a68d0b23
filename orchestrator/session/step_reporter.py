"""Report the steps of a session and the rungs of the recovery ladder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.domain.conversation import Report, RungClimbed, Step, StepBegan
from orchestrator.domain.errors import DeviceError
from orchestrator.domain.recovery import Rung

Emit = Callable[[Report], None]
Result = TypeVar("Result")


class StepReporter:
    """Reports a session's steps and rungs to `emit`. `step` is the present step, for the text of errors."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.step = Step.CONNECT
        self.emit: Emit = _refuse

    def begin(self, step: Step, detail: str = "") -> None:
        """Enter a step and report the step. `detail` is text for people."""
        self.step = step
        self.emit(StepBegan(self._device, step, detail))

    def climb(self, rung: Rung, reason: str, action: Callable[[], Result]) -> Result:
        """Do the action of a rung, and report time and success of the climb. A DeviceError is passed on."""
        began = time.monotonic()
        try:
            result = action()
        except DeviceError as failure:
            self.climbed(rung, reason or str(failure), time.monotonic() - began, succeeded=False)
            raise
        self.climbed(rung, reason, time.monotonic() - began, succeeded=True)
        return result

    def climbed(self, rung: Rung, reason: str, took_s: float, *, succeeded: bool) -> None:
        """Report the outcome of a rung. `took_s` is the time of the climb."""
        self.emit(RungClimbed(self._device, rung, reason, succeeded, took_s))


def _refuse(report: Report) -> None:
    raise AssertionError(f"no emit was set for {report}")
