"""Write results for people and programs: a file for each format, and a line in the table here.

A format's module has `write(report, stream)`. A command imports only the module of its own format, since most commands
must begin quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TextIO, cast

if TYPE_CHECKING:
    from orchestrator.reporting.report import Report


class Writer(Protocol):
    """Declare the module of a format."""

    def write(self, report: Report, stream: TextIO) -> None:
        """Write a report. Control characters of foreign text never reach a terminal."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Hold one output format: module, line in docs/json.md, and whether the format needs test cases."""

    module: str
    about: str
    needs_cases: bool = False

    def write(self, report: Report, stream: TextIO) -> None:
        """Write a report in the format."""
        cast("Writer", import_module(f"{__name__}.{self.module}")).write(report, stream)


FORMATS: Mapping[str, OutputFormat] = {
    "table": OutputFormat("console", "the result for people; the default, and free to change"),
    "json": OutputFormat("json_text", "the whole result, with the keys below; `--json` is short for `--format json`"),
    "csv": OutputFormat("csv_rows", "the rows below, one a line; NULL is empty"),
    "markdown": OutputFormat("markdown", "the rows below as a table of GitHub's Markdown; NULL is a dash"),
    # Few results can pass or fail.
    "junit": OutputFormat("junit", "test cases as JUnit XML, from every command about one run", needs_cases=True),
}


def formats_for(*, has_cases: bool) -> tuple[str, ...]:
    """Return the names of the formats for a command. A command without test cases has no JUnit output."""
    return tuple(name for name, entry in FORMATS.items() if has_cases or not entry.needs_cases)
