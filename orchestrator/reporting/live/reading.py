"""Show how far the reading of a large file has come, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.reporting.text import clean

SHOWN_BYTES_MIN = 64 << 20
"""Less is read within a second."""


class ReadingBar:
    """Draw a bar for each large file on a terminal, and no bar elsewhere. Call the object with the progress."""

    def __init__(self, console: Console, *, silent: bool = False) -> None:
        self._console = console
        self._silent = silent or not console.is_terminal or console.is_dumb_terminal
        self._bar: Progress | None = None

    def __call__(self, name: str, done: int, size: int) -> None:
        """Show the count of bytes done. The bar goes at the end of the file."""
        if self._silent or size < SHOWN_BYTES_MIN:
            return
        if done >= size:
            self._stop()
            return
        if self._bar is None:
            words = TextColumn("reading {task.description}", markup=False)
            columns = (words, BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(clean(name), total=size)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
