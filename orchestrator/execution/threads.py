"""Run every device session in a thread of this process: the embedded default."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from orchestrator.domain.conversation import Close, Command
from orchestrator.domain.device import Device
from orchestrator.domain.recovery import Rescue
from orchestrator.execution.base import Emit, Session, SessionFactory
from orchestrator.execution.guard import run_guarded


class ThreadExecutor:
    """A thread per device; they are daemons, so that a device that never answers cannot keep the process alive."""

    def __init__(self, factory: SessionFactory) -> None:
        self._factory = factory
        self._sessions: dict[str, Session] = {}
        self._threads: list[threading.Thread] = []

    def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
        """Begin one session per device at once."""
        for device in devices:
            session = self._sessions[device.name] = self._factory(device, rescue)
            thread = threading.Thread(
                target=run_guarded, args=(session, device.name, emit), name=f"session {device.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def post(self, device: str, command: Command) -> None:
        """Pass a command to a device's session; one that has ended ignores it."""
        self._sessions[device].post(command)

    def close(self, timeout_s: float = 10.0) -> None:
        """Tell every session to close, and wait at most `timeout_s` for all of them."""
        for session in self._sessions.values():
            session.post(Close())
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
