"""Show the progress of reading large files while a command works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.cli.options import Call
from orchestrator.reporting.formats.console import stderr_console
from orchestrator.reporting.live.reading import ReadingBar
from orchestrator.specs.hashing import watching


@contextmanager
def reading_shown(call: Call) -> Iterator[None]:
    """Draw a bar for each large file hashed or copied, if people watch a terminal."""
    with ReadingBar(stderr_console(), silent=not call.is_watched) as bar, watching(bar):
        yield
