"""What every executor of device sessions can do.

A session is a plain blocking function over two ends: it reports upwards through `emit` and takes commands by `post`. An
executor decides where it runs. The driver owns the database; sessions never see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from orchestrator.domain.conversation import Command, Report
from orchestrator.domain.device import Device
from orchestrator.domain.recovery import Rescue

Emit = Callable[[Report], None]
"""Takes one report; an executor calls it from any thread."""


class Session(Protocol):
    """One device's conversation; `run` blocks in a thread of its own."""

    def run(self, emit: Emit) -> None:
        """Converse until told to close; every ending, good or bad, is a SessionEnded report, the last one."""

    def post(self, command: Command) -> None:
        """Take a command from any thread; never blocks on the device."""


class SessionFactory(Protocol):
    """Makes sessions; picklable, so that a gateway elsewhere can make them too."""

    def __call__(self, device: Device, rescue: Rescue | None = None) -> Session:
        """Return a session that will talk to this device, and first brings it back where a `rescue` is named."""


@runtime_checkable
class Executor(Protocol):
    """Runs the sessions of one sweep."""

    def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
        """Begin one session per device at once; `emit` gets every report, from any thread, as it comes.

        May be called again: for further devices, which were in use at first, and for those whose session has ended,
        to `rescue` them.
        """

    def post(self, device: str, command: Command) -> None:
        """Pass a command to a device's session; one that has ended ignores it."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Tell every session to close, and wait; devices go on with what they run. May be called twice."""
