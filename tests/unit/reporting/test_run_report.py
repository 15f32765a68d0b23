"""A run as one file: what a browser shows by itself, and what a pull request takes, whatever devices say."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import replace
from typing import Any

import html5lib
import pytest

from orchestrator.domain.build import Environment
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_report import CellLevel, RunReport
from orchestrator.reporting.runs.forest import LABEL, RIGHT, WIDTH, Row, forest
from orchestrator.reporting.runs.report import BYTES_MAX, MARKDOWN_MAX, html, markdown
from tests.unit.reporting import decided, samples

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script src=//evil.example>alert(1)</script>{{7*7}}" + samples.HOSTILE
LEVELS = (
    CellLevel("pi-03", "fp32 · exec/c", 4.19e4, 4.1e4, 4.3e4, 5),
    CellLevel("pi-03", "int8 · " + EVIL, 2.01e4, 1.9e4, 2.2e4, 5),
    CellLevel("coral-01", "int8 · exec/c", None, None, None, 0, "died: " + EVIL),
)
FACTS = Environment("a", "b", {"kernel": EVIL, "cpu_count": 4, "unheard": EVIL})
WITHIN = RunReport(
    RunDetails(samples.RUN, samples.MISSING, samples.RESULTS),
    LEVELS,
    samples.IN_METRICS,
    None,
    None,
    {"pi-03": (FACTS, FACTS), EVIL: ()},
)
OVER_TIME = replace(WITHIN, difference=decided.DIFFERENCE)
ALONE = replace(WITHIN, comparison=None, uncompared="one variant " + EVIL, environments={})
EVERY = {"within": WITHIN, "over time": OVER_TIME, "alone": ALONE}


@functools.cache  # here rather than when the module is imported: every process that runs tests imports all of them
def page_of(name: str) -> str:
    return html(EVERY[name])


@functools.cache  # for reading alone
def tree(page: str) -> Any:
    """Parse a page as the standard says. A page with an error in its markup raises html5lib's ParseError."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_markup_without_any_error_that_needs_nothing_from_outside(name: str) -> None:
    root = tree(page_of(name))
    for element in root.iter():
        if isinstance(element.tag, str):
            assert element.tag.removeprefix(SVG) not in {"script", "link", "img", "iframe", "object", "embed", "base"}
            names = {str(attribute).rpartition("}")[2] for attribute in element.attrib}
            assert not names & {"src", "href", "action", "data", "srcset", "style"}
            assert not [one for one in names if one.startswith("on")]
    style = root.find("head/style").text
    assert "url(" not in style
    (policy,) = (meta for meta in root.iter("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.get("content").startswith(f"default-src 'none'; style-src 'sha256-{sha256}'")


@pytest.mark.parametrize("name", EVERY)
def test_hostile_words_are_text_in_both_forms(name: str) -> None:
    page, written = page_of(name), markdown(EVERY[name])
    assert "<script" not in page
    assert "<script" not in written.replace("\\<script", "")
    assert "alert" in page
    assert "alert" in markdown(ALONE)
    for form in (page, written):
        assert not [sign for sign in form if (ord(sign) < 0x20 and sign != "\n") or sign == "\u202e"]


def test_every_figure_of_the_comparison_is_in_the_table_and_drawn() -> None:
    metrics = tree(page_of("within")).find("body/main/section").findall("details")
    assert [text(one.find("summary")) for one in metrics] == [one.name for one in samples.IN_METRICS.metrics]
    for details, part in zip(metrics, samples.IN_METRICS.in_each_metric(), strict=True):
        rows = details.findall(".//tbody/tr")
        assert len(rows) == len(part.rows)
        for line, row in zip(rows, part.rows, strict=True):
            assert (row.word or row.verdict.value) in text(line)
            if row.ratio is not None:
                assert f"×{row.ratio.value:.3f}" in text(line) or row.ratio.value > 9
        drawn = list(details.iter(f"{SVG}circle"))
        assert len(drawn) == sum(row.ratio is not None for row in part.rows)


def test_missing_and_changes_and_environments_are_told() -> None:
    body = text(tree(page_of("over time")).find("body"))
    for one in decided.DIFFERENCE.devices[0].hardware:
        assert f"{one.fact} pi-03 hardware {one.before} {one.after}" in body
    assert "unheard" not in body, "facts that nobody declared stay out"
    assert f"! missing {len(samples.MISSING)}" in body
    assert "nothing that is on record differs" not in body
    same = replace(decided.DIFFERENCE, terms=(), devices=(), only_before=(), only_after=())
    assert "nothing that is on record differs" in html(replace(WITHIN, difference=same))
    assert "nothing that is on record differs" in markdown(replace(WITHIN, difference=same))


def test_a_markdown_table_has_as_many_cells_in_each_line() -> None:
    for report in EVERY.values():
        for block in markdown(report).split("\n\n"):
            lines = [line for line in block.strip().splitlines() if line.startswith("|")]
            assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1


@pytest.mark.long
@pytest.mark.parametrize("cells", [300, pytest.param(5_000, marks=pytest.mark.system)])
def test_a_large_run_keeps_to_the_size_and_says_what_was_left_out(cells: int) -> None:
    group = samples.IN_METRICS.groups[0]
    many = replace(samples.IN_METRICS, groups=tuple(replace(group, device=f"d{n}") for n in range(cells)))
    levels = tuple(CellLevel(f"d{n % 400}", f"v{n} {'x' * 300}", 1e6 + n, 1e6, 2e6, 5) for n in range(cells))
    large = replace(OVER_TIME, comparison=many, levels=levels)
    page, written = html(large), markdown(large)
    assert len(page.encode()) <= BYTES_MAX
    assert len(written) <= MARKDOWN_MAX
    assert "more: <code>benchfleet runs show" in page or cells < 500
    assert "more" in written


def test_endless_words_keep_a_report_small() -> None:
    endless = "&" * 100_000
    large = replace(
        ALONE,
        levels=tuple(replace(one, label=endless, reason=endless) for one in LEVELS),
        uncompared=endless,
        environments={"pi-03": (Environment("a", "b", {"kernel": endless}),)},
    )
    assert len(html(large).encode()) <= BYTES_MAX
    assert len(markdown(large)) <= MARKDOWN_MAX


def test_values_lie_where_their_logarithms_do() -> None:
    drawing = forest(
        [Row("a", 10.0, 9.0, 11.0, ""), Row("b", 100.0, None, 110.0, ""), Row("c", 1000.0, None, None, "")], ""
    )
    assert drawing is not None
    first, middle, last = drawing.rows
    assert first.x is not None
    assert middle.x is not None
    assert last.x is not None
    assert abs((middle.x - first.x) - (last.x - middle.x)) <= 1
    assert first.x_low is not None
    assert first.x_high is not None
    assert LABEL <= first.x_low < first.x < first.x_high <= WIDTH - RIGHT
    assert (middle.x_low, middle.x_high) == (None, None), "half an interval is none"


def test_a_wild_interval_ends_at_the_edge_and_does_not_flatten_the_rest() -> None:
    drawing = forest([Row("a", 10.0, 1e-9, 1e9, ""), Row("b", 20.0, 19.0, 21.0, "")], "")
    assert drawing is not None
    assert (drawing.rows[0].x_low, drawing.rows[0].x_high) == (LABEL, WIDTH - RIGHT)
    distance = (drawing.rows[1].x or 0) - (drawing.rows[0].x or 0)
    assert distance > (WIDTH - LABEL - RIGHT) / 4


def test_one_value_is_drawn_beside_a_reference_alone() -> None:
    assert forest([Row("a", 10.0, None, None, "")], "") is None
    drawing = forest([Row("a", 1.1, 1.05, 1.15, "")], "", 1.0)
    assert drawing is not None
    assert drawing.line is not None
    assert drawing.line < (drawing.rows[0].x or 0)
    assert forest([Row("a", 0.0, None, None, ""), Row("b", None, None, None, "")], "", 1.0) is None
