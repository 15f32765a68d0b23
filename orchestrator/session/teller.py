"""Say what a session does, and where it is when something fails."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.conversation import Report, RungClimbed, Step, StepBegan
from orchestrator.domain.errors import DeviceError
from orchestrator.domain.recovery import Rung

Emit = Callable[[Report], None]


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

    def climb(self, rung: Rung, reason: str, action: Callable[[], None]) -> None:
        """Do what a rung of the recovery ladder asks for, and tell whether it helped; DeviceError is passed on."""
        try:
            action()
        except DeviceError as failure:
            self.emit(RungClimbed(self._device, rung, reason or str(failure), succeeded=False))
            raise
        self.emit(RungClimbed(self._device, rung, reason, succeeded=True))


def _nobody(report: Report) -> None:
    raise AssertionError(f"nobody listens to {report}")
