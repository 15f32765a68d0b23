"""What a run tells people while it goes on."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from orchestrator.domain.run import DeviceRunState, TrialChange


class RunDisplay(Protocol):
    """Shows a run's progress between entering and leaving its context; all calls come from one thread."""

    def step(self, device: str, step: str, detail: str) -> None:
        """A device's session entered a step; `detail` is for people."""

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Something about a device is worth a word; it goes on."""

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """A device's plan is known: so many trials to come, preflights included; so many cells that will not run."""

    def changed(self, change: TrialChange) -> None:
        """A trial began or ended."""

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Nothing more will come of a device."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the terminal as it was, with what should stay on it."""
