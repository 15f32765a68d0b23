"""Read a meter by a command that prints a line `unix_time watts` for each reading."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from orchestrator.domain.errors import MeterFailed
from orchestrator.domain.meter import Meter, MeterReading
from orchestrator.meters.recording import parse_line

_LINE_CHARACTERS_MAX = 1000
_KEPT_MAX = 100_000
_END_S_MAX = 5.0


class CommandMeter:
    """Run the command of a meter for as long as the context lasts. No shell reads the words."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._new: list[MeterReading] = []
        self._error: str | None = None
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                list(meter.command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise MeterFailed(f"{meter.name}: {error.strerror}", "check `power` in the inventory") from None
        self._thread = threading.Thread(target=self._listen, name=f"meter {meter.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The whole session: a wrapper's child would go on reading the meter.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_END_S_MAX)

    def read(self) -> Sequence[MeterReading]:
        """Return what the command has printed since the last call. Raise MeterFailed once it has ended."""
        has_ended = not self._thread.is_alive()  # first: whatever it said at the end is then there to be taken
        with self._lock:
            new, self._new = self._new, []
            error, self._error = self._error, None
        if not new and error is not None:
            raise MeterFailed(f"{self._meter.name}: {error}")
        if not new and has_ended:
            raise MeterFailed(f"{self._meter.name}: the command has ended, with status {self._process.poll()}")
        return new

    def _listen(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        with output:
            self._take_lines(output)

    def _take_lines(self, output: IO[str]) -> None:
        while line := output.readline(_LINE_CHARACTERS_MAX):
            if not line.strip():
                continue
            reading = parse_line(line)
            with self._lock:
                if reading is None:
                    self._error = "a line that is not `unix_time watts`"
                elif len(self._new) < _KEPT_MAX:
                    self._new.append(reading)
