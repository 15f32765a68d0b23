"""Run every device session in a thread of the process: the embedded default."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.domain.conversation import Close, Command, Report, SessionEnded, SessionId, SessionReport
from orchestrator.domain.errors import WorkerFailed
from orchestrator.execution.base import Emit, Launch, Listen, Session, SessionFactory

SWITCH_S = 0.05
"""How long a thread that waits for the interpreter waits before it asks again, Python's own being 5 ms.

Each question wakes a thread for nothing. Thousands of sessions that ask 200 times a second take more processor time
than all they have to do.
"""


@dataclass(frozen=True, slots=True)
class _Running:
    session: Session
    thread: threading.Thread


class ThreadExecutor:
    """Run a thread for each session. Daemon threads: a silent device cannot keep the process alive."""

    def __init__(self, factory: SessionFactory) -> None:
        self._factory = factory
        self._running: dict[SessionId, _Running] = {}
        self._lock = threading.Lock()

    def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
        """Begin sessions at once."""
        sys.setswitchinterval(max(SWITCH_S, sys.getswitchinterval()))
        for launch in launches:
            session = self._factory(launch.device, launch.rescue)
            name = f"session {launch.device.name}"
            thread = threading.Thread(target=self._run, args=(launch.session, session, listen), name=name, daemon=True)
            with self._lock:
                self._running[launch.session] = _Running(session, thread)
            thread.start()

    def post(self, session: SessionId, command: Command) -> None:
        """Pass a command to a session. An ended session ignores commands."""
        with self._lock:
            running = self._running.get(session)
        if running is not None:
            running.session.post(command)

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        """Close sessions, and wait at most `timeout_s` for all ends."""
        with self._lock:
            ending = {session: self._running[session] for session in sessions if session in self._running}
        for running in ending.values():
            running.session.post(Close())
        deadline = time.monotonic() + timeout_s
        for running in ending.values():
            running.thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            # A session that hangs has had its time: whoever closes the executor does not wait for it again.
            for session in ending:
                self._running.pop(session, None)

    def close(self, timeout_s: float = 10.0) -> None:
        """End every session, and wait at most `timeout_s` for all ends."""
        with self._lock:
            sessions = list(self._running)
        self.end(sessions, timeout_s)

    def _run(self, name: SessionId, session: Session, listen: Listen) -> None:
        def emit(report: Report) -> None:
            listen(SessionReport(name, report))

        try:
            run_guarded(session, name.device, emit)
        finally:
            with self._lock:  # an executor may serve runs for weeks: nothing is kept of a session that has ended
                self._running.pop(name, None)


def run_guarded(session: Session, device: str, emit: Emit) -> None:
    """Run a session to its end. An unexpected error becomes the SessionEnded awaited by the driver."""
    ended = False

    def watch(report: Report) -> None:
        nonlocal ended
        ended = ended or isinstance(report, SessionEnded)
        emit(report)

    try:
        session.run(watch)
    except Exception as error:
        if ended:  # the driver has let the session go, and would not hear a second end
            raise
        name, words = type(error).__name__, str(error).strip().partition("\n")[0]
        failure = WorkerFailed(
            f"unexpected {name}: {words}", "this is a defect of benchfleet: please report it", device=device
        )
        failure.__cause__ = error
        emit(SessionEnded(device, failure))
