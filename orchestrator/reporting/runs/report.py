"""Write a run as one HTML file to mail, or as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape as html_escaped

from orchestrator.domain.run_report import RunReport
from orchestrator.reporting.formats.markdown import escaped
from orchestrator.reporting.one_file import rendered
from orchestrator.reporting.runs.forest import WIDTH
from orchestrator.reporting.runs.page import Budget, Page, page_of

BYTES_MAX = 500 * 1024
"""The size of a report, so that a report can be mailed and kept for years."""
MARKDOWN_MAX = 60_000
"""The size of a comment in characters: GitHub takes 65,536."""
_BUDGETS = tuple(
    Budget(*bounds)
    for bounds in ((2000, 60, 500), (600, 60, 200), (200, 40, 100), (80, 30, 60), (30, 20, 30), (10, 10, 10), (3, 3, 3))
)
_ROWS_OF_MARKDOWN = (100, 50, 20, 5, 1)


def html(report: RunReport) -> str:
    """Return a run as a page. A large run is shown with fewer rows, and the page says so."""
    page = ""
    for budget in _BUDGETS:
        page = rendered(__package__, "report.html.jinja", page=page_of(report, budget), width=WIDTH)
        if len(page.encode()) <= BYTES_MAX:
            break
    return page


def markdown(report: RunReport) -> str:
    """Return a run as Markdown. A large run is shown with fewer rows, and the text says so."""
    text = ""
    for rows in _ROWS_OF_MARKDOWN:
        # Nothing drawn: GitHub takes drawings out of Markdown.
        text = "\n".join(_lines(page_of(report, Budget(rows, 0, rows)))) + "\n"
        if len(text) <= MARKDOWN_MAX:
            break
    return text


def _lines(page: Page) -> Iterator[str]:
    yield f"## {page.sign} {escaped(page.title)}\n"
    yield f"**{escaped(page.headline)}**\n"
    if page.tallies:
        yield ", ".join(f"{sign} {count} {escaped(word)}" for sign, _, word, count in page.tallies) + "\n"
    for place, metric in enumerate(page.metrics):
        # A reader of a pull request wants the first metric. The others are a click away.
        heading = f"{escaped(metric.name)} {escaped(page.compared)}"
        yield f"<details><summary>{html_escaped(metric.name)}</summary>\n" if place else f"### {heading}\n"
        rows = ((one.label, f"{one.sign} {one.word}", one.ratio, one.base, one.value, one.notes) for one in metric.rows)
        yield from _table(("cell", "verdict", "ratio", "base", "value", "remarks"), rows, metric.left_out)
        yield "\n</details>\n" if place else ""
    if not page.metrics:
        for device in page.devices:
            yield f"### {escaped(device.name)}\n"
            yield from _table(("cell", "latency", "95 % interval", "n", "remarks"), device.rows, device.left_out)
    if page.missing:
        yield "### missing\n"
        yield from _table(("device", "cell", "state", "why"), page.missing, page.missing_left_out)
    if page.changes is not None:
        yield "### what changed\n"
        lines = [(one.device, one.kind, one.what, one.before or "–", one.after or "–") for one in page.changes]
        if lines:
            yield from _table(("device", "kind", "what", "before", "after"), lines, page.changes_left_out)
        else:
            yield "nothing that is on record differs\n"


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]], left_out: int) -> Iterator[str]:
    names = tuple(columns)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(map(escaped, row))} |" for row in rows)
    yield f"\nand {left_out} more\n" if left_out else ""
