"""Log the events of a run as well: a structured line per event, on standard error or in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from structlog.typing import EventDict, WrappedLogger

from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.reporting.base import RunDisplay
from orchestrator.reporting.text import clean


class JournalDisplay:
    """Wrap a display, and log each event. `steps`: log the steps of sessions too.

    Into `file`, each event is a JSON object on a line.
    """

    def __init__(self, inner: RunDisplay, run: str, *, steps: bool, file: Path | None = None) -> None:
        self._inner = inner
        self._steps = steps
        # By line: a reader of the file sees whole events, also of a controller that is killed.
        self._file = None if file is None else file.open("a", encoding="utf-8", buffering=1)
        as_words = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
        # A logger of its own: how the process logs is for whoever runs the process to configure.
        logger = structlog.wrap_logger(
            structlog.PrintLogger(self._file or sys.stderr),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _cleaned,
                as_words if file is None else structlog.processors.JSONRenderer(),
            ],
        )
        self._log = logger.bind(run=run)

    def step(self, device: str, step: str, detail: str) -> None:
        """Log the step if steps are wanted."""
        if self._steps:
            self._log.debug("step_began", device=device, step=step, detail=detail)
        self._inner.step(device, step, detail)

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Log a warning."""
        self._log.warning("device_warned", device=device, warning=message, hint=hint)
        self._inner.warned(device, message, hint)

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Log the size of a plan."""
        self._log.info("device_planned", device=device, trials=trials, excluded=excluded)
        self._inner.planned(device, trials, excluded)

    def changed(self, change: TrialChange) -> None:
        """Log the state of a trial."""
        values = {"device": change.device, "trial": change.trial, "cell": change.label, "p50_ns": change.p50_ns}
        self._log.info(f"trial_{change.state.value}", **values, failure=change.failure)
        self._inner.changed(change)

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Log the end of a device."""
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
        if self._file is not None:
            self._file.close()


def _cleaned(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make the words of devices harmless for a terminal, each a single line."""
    return {key: clean(value) if isinstance(value, str) else value for key, value in event.items()}
