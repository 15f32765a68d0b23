"""Write what a run tells people to the log as well: one structured line per event, on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import structlog

from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.reporting.base import RunDisplay


class JournalDisplay:
    """Wraps a display; the steps of sessions are logged only where asked for."""

    def __init__(self, inner: RunDisplay, run: str, *, steps: bool) -> None:
        self._inner = inner
        self._steps = steps
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
            ],
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        self._log = structlog.get_logger().bind(run=run)

    def step(self, device: str, step: str, detail: str) -> None:
        """Log the step, where steps are wanted."""
        if self._steps:
            self._log.debug("step_began", device=device, step=step, detail=detail)
        self._inner.step(device, step, detail)

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Log what is worth a word."""
        self._log.warning("device_warned", device=device, warning=message, hint=hint)
        self._inner.warned(device, message, hint)

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Log how much there is to do."""
        self._log.info("device_planned", device=device, trials=trials, excluded=excluded)
        self._inner.planned(device, trials, excluded)

    def changed(self, change: TrialChange) -> None:
        """Log what became of a trial."""
        values = {"device": change.device, "trial": change.trial, "cell": change.label, "p50_ns": change.p50_ns}
        self._log.info(f"trial_{change.state.value}", **values, failure=change.failure)
        self._inner.changed(change)

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Log how a device did."""
        log = self._log.error if error else self._log.info
        log("device_ended", device=device, state=state.value, error=error, hint=hint)
        self._inner.device_ended(device, state, error, hint)

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, traceback)
