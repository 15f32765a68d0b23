"""Declare the executor of device sessions.

A session is a plain blocking function with two ends: reports go up through `emit`, commands come by `post`. The
executor decides where sessions run. The driver owns the database, and sessions never see the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestrator.domain.conversation import Command, Report, SessionId, SessionReport, new_session
from orchestrator.domain.device import Device
from orchestrator.domain.recovery import Rescue

Emit = Callable[[Report], None]
"""Takes one report of one session."""


class Session(Protocol):
    """Hold the conversation with a device. `run` blocks in a separate thread."""

    def run(self, emit: Emit) -> None:
        """Converse until told to close. The last report is a SessionEnded, after a good or a bad end."""

    def post(self, command: Command) -> None:
        """Take a command from any thread, without waiting for the device."""


class SessionFactory(Protocol):
    """Make sessions. A factory is picklable: a gateway elsewhere can make sessions too."""

    def __call__(self, device: Device, rescue: Rescue | None = None) -> Session:
        """Return a session with a device. With a `rescue` the session first brings the device back."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Describe a session to begin. With a `rescue` the session first brings the device back."""

    session: SessionId
    device: Device
    rescue: Rescue | None = None


Listen = Callable[[SessionReport], None]
"""Takes the reports of the sessions launched with the listener. Called from any thread."""


@runtime_checkable
class Executor(Protocol):
    """Run sessions, of a single run or of several at once. The maker of an executor closes the executor."""

    def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
        """Begin sessions together. `listen` gets every report of the sessions, and no other report.

        A device may have a new session once the last session has ended. Raise OrchestratorError if no session can run.
        """

    def post(self, session: SessionId, command: Command) -> None:
        """Pass a command to a session. An ended session ignores commands."""

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        """Close sessions, and wait at most `timeout_s` for the ends. Runners on devices go on."""

    def close(self, timeout_s: float = 10.0) -> None:
        """End every session, and the threads or gateway under the sessions. May be called twice.

        A session still running after the time of `end` is not waited for again.
        """


def launches(devices: Sequence[Device], run: str | None = None) -> list[Launch]:
    """Return the launch of a new session with each device."""
    return [Launch(new_session(run, device.name), device) for device in devices]
