"""The bar of a large file: on a terminal alone, and gone at the end."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orchestrator.reporting.live.reading import SHOWN_BYTES_MIN, ReadingBar

SIZE = SHOWN_BYTES_MIN * 4


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal that is kept."""
    monkeypatch.setenv("TERM", "xterm")
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def shown(console: Console, *, size: int = SIZE, silent: bool = False) -> str:
    with ReadingBar(console, silent=silent) as bar:
        for part in (1, 2, 4):
            bar("big[red]\x1b.tflite", size * part // 4, size)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_a_large_file_by_its_name_as_written(console: Console) -> None:
    text = shown(console)
    assert "reading big[red]" in text
    assert "\x1b.tflite" not in text
    assert "/268.4 MB" in text


def test_the_bar_goes_also_when_reading_fails(console: Console) -> None:
    def interrupted() -> None:
        with ReadingBar(console) as bar:
            bar("big.tflite", 1, SIZE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("\x1b[2K")  # the line of the bar is erased
    assert "\x1b[?25h" in console.file.getvalue()  # and the cursor is back


def test_small_files_programs_and_pipes_see_nothing(console: Console) -> None:
    assert shown(console, size=SHOWN_BYTES_MIN - 1) == ""
    assert shown(console, silent=True) == ""
    assert shown(Console(file=io.StringIO(), force_terminal=False)) == ""
