"""Turn signals into something that select can wait for."""

from __future__ import annotations

import os
import select
import signal
import time


class SignalWakeups:
    """Wake a waiting runner when a child ends or when it is asked to stop (SIGTERM)."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def drain(self) -> None:
        """Forget the wake-ups that have been seen."""
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until the runner is asked to stop; return whether it was."""
        deadline = time.monotonic() + seconds
        while not self.is_stopping:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            if select.select([self.fd], [], [], remaining)[0]:
                self.drain()
        return self.is_stopping

    def _stop(self, _number: int, _frame: object) -> None:
        self.is_stopping = True
