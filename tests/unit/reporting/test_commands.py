"""Printed commands: whole to whoever copies them, whatever the width."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from rich.console import RenderableType

from orchestrator.reporting.tables.commands import CommandLines
from orchestrator.reporting.tables.compare_metrics import MetricsView
from orchestrator.reporting.tables.night import night_table
from tests.unit.reporting import nights, samples
from tests.unit.reporting.rendering import drawn

COMMAND = (
    "benchfleet runs resume 20240601-ab --trials +7 --select pi --cells 'variant=fp16,a=two words' && echo \"it's\""
)


def copied(text: str, lead: str) -> list[str]:
    """Return the words that a shell reads of the one command in a text that begins with `lead`."""
    (start,) = (place for place, line in enumerate(text.splitlines()) if line.startswith(lead))
    lines = text.splitlines()[start:]
    last = next(place for place, line in enumerate(lines) if not line.endswith("\\"))
    # A shell drops a backslash at the end of a line, and shlex does not.
    return shlex.split("\n".join(lines[: last + 1]).removeprefix(lead).replace("\\\n", ""))


def in_a_night(command: str) -> RenderableType:
    return night_table(replace(nights.REPORT, cells=(replace(nights.FINDINGS[0], rerun=command),), lost=()))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_is_copied_is_the_command(width: int) -> None:
    assert copied(drawn(CommandLines(COMMAND), width), "  benchfleet") == shlex.split(COMMAND)[1:]
    assert copied(drawn(in_a_night(COMMAND), width), "    rerun: benchfleet") == shlex.split(COMMAND)[1:]
    view = MetricsView(replace(samples.IN_METRICS, commands=(COMMAND,)))
    assert copied(drawn(view, max(width, 60)), "  benchfleet") == shlex.split(COMMAND)[1:]


def test_lines_are_no_longer_than_the_console() -> None:
    assert max(map(len, drawn(CommandLines(COMMAND, "rerun: ", indent=4), 50).splitlines())) <= 50


def test_a_command_with_an_open_quote_is_shown_as_it_stands() -> None:
    assert drawn(CommandLines("echo 'a b"), 80) == "  echo 'a b\n"
