from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

from orchestrator.reporting.formats.console import WIDTH_OF_NO_TERMINAL, stderr_console, write
from orchestrator.reporting.report import Report, Rows
from orchestrator.reporting.tables.columns import Column, plain_table


def report(drawing: object) -> Report:
    return Report(Rows((), ()), None, lambda: drawing)  # type: ignore[return-value, arg-type]


def test_results_and_progress_go_to_different_streams(capsys: pytest.CaptureFixture[str]) -> None:
    write(report("[bold]result :smile:[/bold]"), sys.stdout)
    stderr_console().print("progress")

    assert capsys.readouterr() == ("[bold]result :smile:[/bold]\n", "progress\n")


def test_a_pipe_is_wide_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert stderr_console().width == WIDTH_OF_NO_TERMINAL

    monkeypatch.setenv("COLUMNS", "90")
    assert stderr_console().width == 90


def test_a_printed_table_has_no_blanks_at_the_ends_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    table = plain_table([Column("device"), Column("tags")], [["pi-03", "class=rpi"], ["x", None]])
    write(report(table), sys.stdout)

    assert capsys.readouterr().out == "device  tags\npi-03   class=rpi\nx       –\n"


# Without blanks at the ends, as cells of foreign text are.
WORDS = st.lists(st.text("abé表", min_size=1, max_size=3), max_size=3).map(" ".join)
CELLS = st.builds(Text, WORDS, st.sampled_from(["", "red", "bold green"])) | st.builds(
    lambda first, second: Text.assemble(first, (second, "dim")), WORDS, WORDS
)
COLUMNS = st.builds(Column, st.text("ab表", min_size=1, max_size=8), right=st.booleans(), fold=st.booleans())
TABLES = st.lists(COLUMNS, min_size=1, max_size=4).flatmap(
    lambda columns: st.tuples(st.just(columns), st.lists(st.tuples(*[CELLS] * len(columns)), max_size=4))
)


@given(TABLES)
def test_a_table_that_fits_looks_as_rich_draws_it(table: tuple[list[Column], list[tuple[Text, ...]]]) -> None:
    columns, lines = table
    ours = plain_table(columns, lines)

    assert looks(ours) == looks(ours.folding(range(len(columns))))


def test_a_table_with_lines_in_a_cell_is_left_to_rich() -> None:
    table = plain_table([Column("device"), Column("tags")], [[Text("one\ntwo"), "x"]])

    assert looks(table) == looks(table.folding((0, 1)))


def looks(drawing: RenderableType) -> list[list[tuple[str, Style | None]]]:
    """Return each line's characters with their styles, without the blanks at the end. Blanks have no style."""
    console = Console(width=WIDTH_OF_NO_TERMINAL)
    found = []
    for segments in console.render_lines(drawing, pad=False):
        styled = [(letter, style or None) for text, style, _ in segments for letter in text]
        line = [(letter, None if letter == " " else style) for letter, style in styled]
        while line and line[-1][0] == " ":
            line.pop()
        found.append(line)
    return found


def test_a_sentence_is_one_line_however_long_and_has_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    command = "benchfleet run " + "x" * 300

    write(report(f"wrote \x1b[2J\nnow: {command}"), sys.stdout)

    assert capsys.readouterr().out == f"wrote \\x1b[2J\nnow: {command}\n"
