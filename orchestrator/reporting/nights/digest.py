"""Draw a night as a single HTML file: no network, no scripts, at most 200 KiB."""

from __future__ import annotations

from orchestrator.domain.night import NightReport
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.chart import HEIGHT, WIDTH
from orchestrator.reporting.nights.page import Budget, page_of
from orchestrator.reporting.one_file import rendered

BYTES_MAX = 200 * 1024
"""The size of a digest, so that a digest can be mailed and kept for years."""

# Rows of the table go first: `--format csv` lists every cell, but a chart is nowhere else.
_BUDGETS = (
    Budget(groups=100, cards=60, rows=1_000),
    Budget(groups=100, cards=60, rows=600),
    Budget(groups=100, cards=60, rows=300),
    Budget(groups=60, cards=40, rows=300),
    Budget(groups=40, cards=20, rows=200),
    Budget(groups=20, cards=10, rows=100),
    Budget(groups=5, cards=4, rows=20),
    Budget(groups=1, cards=1, rows=1),
)


def digest(report: NightReport) -> str:
    """Return a night as a page. A large night is shown with fewer details, and the page says so."""
    page = ""
    for budget in _BUDGETS:
        page = _rendered(report, budget)
        if len(page.encode()) <= BYTES_MAX:
            break
    return page


def _rendered(report: NightReport, budget: Budget) -> str:
    return rendered(
        __package__,
        "digest.html.jinja",
        page=page_of(report, budget),
        lost_line=words.lost_line,
        width=WIDTH,
        height=HEIGHT,
    )
