"""Turn signals into bytes on a pipe, so that select can wait for signals."""

from __future__ import annotations

import os
import select
import signal
import time


class SignalWakeups:
    """Wake a waiting runner when a child ends (SIGCHLD) or when the runner shall stop (SIGTERM)."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # without a handler no byte reaches the pipe
        signal.signal(signal.SIGTERM, self._stop)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def drain(self) -> None:
        """Empty the pipe of all wake-ups so far."""
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds` or for SIGTERM, and return True if the runner shall stop."""
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
