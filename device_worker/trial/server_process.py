"""Start a server beside a trial, wait until the server is ready, and end it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from time import monotonic, sleep

from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping, Sequence

LOG_NAME = "server.log"
_PORTS = 3
_POLL_S = 0.02
_END_S = 3.0  # the server has nothing left to do, and some take for ever to end in order
_WORDS_MAX = 600


class ServerProcess:
    """A server in the trial's folder. What the server prints is in the file `server.log` there.

    The server stays in the trial's session, so that the runner ends what an interrupted trial leaves, and counts the
    server's time of processors as the trial's.
    """

    def __init__(self, command: Sequence[str], folder: str, variables: Mapping[str, str]) -> None:
        """Start the server. Raise LoadFailure if there is no such program."""
        self._log_path = os.path.join(folder, LOG_NAME)
        environment = dict(os.environ)
        environment.update(variables)
        try:
            with open(self._log_path, "wb") as log:
                self._process = subprocess.Popen(
                    list(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except OSError as error:
            raise LoadFailure(f"the server cannot be started: {command[0]}: {error.strerror}") from error

    def wait_until_ready(self, why_unready: Callable[[], str | None], seconds_max: float) -> None:
        """Wait until nothing says why the server is unready. Raise LoadFailure if it ends before, or takes too long."""
        deadline = monotonic() + seconds_max
        reason = why_unready()
        while reason is not None:
            if self._process.poll() is not None:
                raise LoadFailure(f"the server ended with {self._ending()} before it was ready{self._last_words()}")
            if monotonic() >= deadline:
                raise LoadFailure(
                    f"the server was not ready within {seconds_max:g} s (serve.ready_s_max); asked last, {reason}"
                    f"{self._last_words()}"
                )
            sleep(_POLL_S)
            reason = why_unready()
        if self._process.poll() is not None:  # then somebody else has answered
            raise LoadFailure(f"the server ended with {self._ending()}, and another one answers{self._last_words()}")

    def end(self) -> None:
        """End the server, by force if it takes too long."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ending(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _last_words(self) -> str:
        with open(self._log_path, encoding="utf-8", errors="replace") as log:
            lines = [line.strip() for line in log if line.strip()]
        return f": {' | '.join(lines)[-_WORDS_MAX:]}" if lines else "; it printed nothing"


def free_ports() -> list[int]:
    """Return ports of the loopback interface that nobody listens at."""
    sockets = [socket.socket() for _ in range(_PORTS)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
