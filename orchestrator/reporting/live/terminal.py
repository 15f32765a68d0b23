"""Show a run under way at the bottom of a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.reporting.live.board import Board, Clock
from orchestrator.reporting.live.drawing import Frame, board_lines, lasting_lines
from orchestrator.reporting.text import clean


class LiveDisplay:
    """Keep a table of the busy devices, what has failed, and a line about all devices, at the bottom of a terminal.

    `is_reported`: a report of the run follows, and tells the failures. Otherwise the failures stay on the terminal.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic, *, is_reported: bool = False) -> None:
        self._console = console
        self._is_reported = is_reported
        self._board = Board(clock)
        # rich draws from a thread of its own, while the driver's thread changes the board.
        self._lock = threading.Lock()
        self._began_at = clock()
        self._shown: Sequence[str] = ()
        self._hints: set[str] = set()
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=4,
            transient=True,  # the table goes at the end, and the summary stays
            redirect_stdout=False,  # the result goes there, for a pipe
            vertical_overflow="crop",
        )

    def step(self, device: str, step: str, detail: str) -> None:
        """Show the step in the device's line."""
        with self._lock:
            self._board.touch(device).enter(step, detail, self._board.clock())

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Print a warning and the hint above the table."""
        self._console.print(Text.assemble((f"{clean(device)}  ", "bold"), ("warning: ", "yellow"), clean(message)))
        # Hundreds of devices may share the cause.
        if hint and hint not in self._hints:
            self._hints.add(hint)
            self._console.print(Text(f"  hint: {clean(hint)}"))

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Show the size of the plan."""
        with self._lock:
            self._board.touch(device).plan(trials, excluded)

    def changed(self, change: TrialChange) -> None:
        """Count a trial. A failure stands below the table, a line for each cell."""
        with self._lock:
            self._board.take(change)

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Take the device off the table. An error stands below the table."""
        with self._lock:
            self._board.touch(device).end(state, error, hint)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()  # without the lock, since the last drawing takes it
        with self._lock:
            # Whoever interrupts sees no report.
            tells_all = error is not None or not self._is_reported
            lines = lasting_lines(self._board, self._frame(), with_failures=tells_all)
        for line in lines:
            self._console.print(line)

    def render(self) -> RenderableType:
        """Return the present drawing: as many busy devices as fit, failures, and the line about all devices."""
        with self._lock:
            lines, self._shown = board_lines(self._board, self._frame(), self._shown)
            return Group(*lines)

    def _frame(self) -> Frame:
        size = self._console.size
        return Frame(size.width, size.height, self._board.clock(), self._began_at)
