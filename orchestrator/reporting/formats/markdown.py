"""Write a report's rows as a table of GitHub's Markdown, for a comment or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TextIO

from orchestrator.reporting.formats.plain_data import cell_value
from orchestrator.reporting.report import Report
from orchestrator.reporting.text import ABSENT, clean

# Whatever a page would take for markup: a link, an image or HTML in a device's words must stay words.
# GitHub also makes a link of a bare address, so the colon before two slashes and the point after `www` are markup too.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def write(report: Report, stream: TextIO) -> None:
    """Write rows as rows come, a line for each row. NULL is a dash, floats have at most ten digits.

    The remarks follow as a list. A report with its own page is written as the page.
    """
    if report.page is not None:
        stream.write(report.page())
        return
    rows = report.rows()
    stream.write(_line(escaped(name) for name in rows.columns))
    stream.write(_line("---" for _ in rows.columns))
    for line in rows.lines:
        stream.write(_line(_cell(value) for value in line))
    if report.remarks:
        stream.write("\n" + "".join(f"- {escaped(remark)}\n" for remark in report.remarks))


def escaped(text: object) -> str:
    """Return text as a line without markup."""
    return _MARKUP.sub(r"\\\1", clean(text))


def _cell(value: object) -> str:
    plain = cell_value(value)
    if plain is None:
        return ABSENT
    # A number has no markup to escape, and an escaped point or sign is harder to read.
    return f"{plain:.10g}" if isinstance(plain, float) else escaped(plain)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
