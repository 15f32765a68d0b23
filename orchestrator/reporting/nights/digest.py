"""Draw a night as a single HTML file: no network, no scripts, at most 200 KiB."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from orchestrator.domain.night import NightReport
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.chart import HEIGHT, WIDTH
from orchestrator.reporting.nights.page import Budget, page_of
from orchestrator.reporting.text import clean_lines

BYTES_MAX = 200 * 1024
"""The size of a digest, so that a digest can be mailed and kept for years."""

_STYLE = "digest.css"
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
    # Allowed by its hash: a style that a hostile text brought along would have another.
    style_hash = base64.b64encode(hashlib.sha256(_source(_STYLE).encode()).digest()).decode("ascii")
    return _template().render(
        page=page_of(report, budget),
        style_file=_STYLE,
        style_hash=style_hash,
        lost_line=words.lost_line,
        width=WIDTH,
        height=HEIGHT,
    )


@functools.cache
def _template() -> Template:
    # A mistyped name in the template is an error by StrictUndefined, and no hole in a page.
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, finalize=_harmless
    )
    return environment.get_template("digest.html.jinja")


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip()


def _harmless(value: object) -> object:
    """Show the control characters of a text as escapes. The template escapes markup afterwards."""
    is_markup = hasattr(value, "__html__")  # what a macro of the template returns
    return clean_lines(value) if isinstance(value, str) and not is_markup else value
