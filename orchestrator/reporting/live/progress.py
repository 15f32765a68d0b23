"""Choose how a run under way is shown: live on a terminal, line by line elsewhere, or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.reporting.base import RunDisplay as RunDisplay
from orchestrator.reporting.live.lines import LineDisplay
from orchestrator.reporting.live.terminal import LiveDisplay


def run_display(console: Console, *, silent: bool = False, is_reported: bool = False) -> RunDisplay:
    """Return a live display for a terminal, lines for a file, and no display for a program (`silent`).

    `is_reported`: a report of the run follows on the same terminal.
    """
    if silent:
        return SilentDisplay()
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, is_reported=is_reported)
    return LineDisplay(console)


class SilentDisplay:
    """Stay silent, for a program reading the result."""

    def step(self, device: str, step: str, detail: str) -> None:
        """Ignore a step."""

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Ignore a warning."""

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Ignore a plan."""

    def changed(self, change: TrialChange) -> None:
        """Ignore a trial."""

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Ignore an end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None
