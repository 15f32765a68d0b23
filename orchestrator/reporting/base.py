"""Declare the display of a run."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from orchestrator.domain.run import DeviceRunState, TrialChange


class RunDisplay(Protocol):
    """Show the progress of a run, between entering and leaving the context. All calls come from a single thread.

    Text may come from a device: a display makes the text harmless for a terminal.
    """

    def step(self, device: str, step: str, detail: str) -> None:
        """Show that a device's session entered a step. `detail` is for people."""

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Show a warning of a device. The device goes on."""

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Show the size of a device's plan: trials to come, with preflights, and excluded cells.

        Called again for each plan, such as the rest of a plan after a restart.
        """

    def changed(self, change: TrialChange) -> None:
        """Show that a trial began or ended."""

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Show how a device ended. No further call is about the device."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the terminal, and leave the lasting lines."""
