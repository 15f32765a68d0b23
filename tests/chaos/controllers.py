"""A controller of a history: the real command, whose journal is read line by line while it works."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.lab import Lab
from tests.servers import processes

_STEP = re.compile(r"\bevent=step_began\b.*\bdevice=(\S+)\b.*\bstep=(\"[^\"]*\"|\S+)")
SETTINGS = {
    "BENCHFLEET_LOG_LEVEL": "debug",
    "BENCHFLEET_HEARTBEAT_S": "0.5",
    "BENCHFLEET_CONNECT_TIMEOUT_S": "4",
    "BENCHFLEET_LEASE_S": "3",
}


class Controller:
    """One command, started at once; `steps` are the devices' steps as its journal tells them."""

    def __init__(self, lab: Lab, output: Path, *arguments: str) -> None:
        self.arguments = arguments
        self.output = output
        self.steps: list[tuple[str, str]] = []
        self._told = threading.Condition()
        environment = {**lab.environment, **SETTINGS, "BENCHFLEET_CACHE_DIR": str(lab.directory / "cache")}
        self._process = subprocess.Popen(
            lab.argv(*arguments),
            cwd=lab.directory, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="journal", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the command is over."""
        return self._process.poll() is not None

    def count(self, device: str, step: str) -> int:
        """Return how often the journal has told of this step of a device."""
        with self._told:
            return self.steps.count((device, step))

    def wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds that the journal, or anything else, tells; False once the command is over."""
        deadline = time.monotonic() + timeout_s
        with self._told:
            while not holds():
                if self.has_ended or time.monotonic() > deadline:
                    return holds()
                self._told.wait(0.002)
        return True

    def kill(self) -> None:
        """End it by SIGKILL, with all that it started, as the kernel does when memory runs out."""
        below = processes.descendants(self.pid)  # a Ray cluster has process groups of its own
        if not self.has_ended:
            os.killpg(self.pid, signal.SIGKILL)
        processes.kill(below)
        self._process.wait()

    def limit_files(self, bytes_max: int) -> None:
        """Let none of its files grow beyond this, as on a full disk; `processes.NO_LIMIT` ends that."""
        with suppress(ProcessLookupError):
            processes.limit_files(self.pid, bytes_max)

    def end(self, timeout_s: float) -> int | None:
        """Wait for its end; return its exit code, or None for one that had to be killed."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self._reader.join()
        return code

    def said(self) -> str:
        """Return all that it said."""
        return self.output.read_text(errors="replace")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.output.open("wb") as kept, self._process.stdout as lines:
            for line in lines:
                kept.write(line)
                kept.flush()
                found = _STEP.search(line.decode(errors="replace"))
                with self._told:
                    if found:
                        self.steps.append((found[1], found[2].strip('"')))
                    self._told.notify_all()
