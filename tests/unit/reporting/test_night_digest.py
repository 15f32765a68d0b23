"""The digest of a night: one file that a browser shows by itself, whatever devices say."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import html5lib
import pytest

from orchestrator.domain.night import NightCell, NightPoint, NightReport, NightVerdict
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.chart import HEIGHT, WIDTH, chart
from orchestrator.reporting.nights.digest import BYTES_MAX, digest
from tests.unit.reporting import nights

SVG = "{http://www.w3.org/2000/svg}"
EVERY = {
    "findings": nights.REPORT,
    "quiet": nights.QUIET,
    "hostile": nights.hostile(),
    "nothing": dataclasses.replace(nights.QUIET, cells=(), devices=(), runs=()),
    "600 confirmed": nights.large(600, NightVerdict.CONFIRMED),
}


@functools.cache  # here rather than when the module is imported: every process that runs tests imports all of them
def page_of(name: str) -> str:
    return digest(EVERY[name])


@functools.cache  # for reading alone: the parser takes half a second for the largest page
def tree(page: str) -> Any:
    """Parse a page as the standard says. A page with an error in its markup raises html5lib's ParseError."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(page)


def text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def paths(page: str) -> Iterator[str]:
    yield from re.findall(r' d="([^"]*)"', page)


@pytest.mark.long
@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_markup_without_any_error(name: str) -> None:
    assert tree(page_of(name)).find("body") is not None


@pytest.mark.parametrize("name", EVERY)
def test_a_page_needs_nothing_from_outside_and_runs_nothing(name: str) -> None:
    root = tree(page_of(name))
    referring = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background", "style"}
    for element in root.iter():
        if isinstance(element.tag, str):
            assert element.tag.removeprefix(SVG) not in {"script", "link", "img", "iframe", "object", "embed", "base"}
            names = {str(attribute).rpartition("}")[2] for attribute in element.attrib}
            assert not names & referring
            assert not [one for one in names if one.startswith("on")]
    style = root.find("head/style").text
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", EVERY)
def test_the_policy_of_a_page_allows_its_own_style_alone(name: str) -> None:
    root = tree(page_of(name))
    (policy,) = (meta for meta in root.iter("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    style = root.find("head/style").text.encode()
    sha256 = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert policy.get("content") == (
        f"default-src 'none'; style-src 'sha256-{sha256}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_words_are_text() -> None:
    page = page_of("hostile")
    assert "<script" not in page
    assert "<img" not in page
    assert "49" not in text(tree(page).find("body/header"))  # {{7*7}} is text too
    assert not [character for character in page if ord(character) < 0x20 and character != "\n"]
    assert "\u202e" not in page
    shown = text(tree(page).find("body"))
    assert "<script src=//evil.example>alert(1)</script>" in shown
    assert r"\x1b[2J\u202e</pre>" in shown


@pytest.mark.parametrize("verdict", [NightVerdict.CONFIRMED, NightVerdict.CLEAN])
@pytest.mark.parametrize("cells", [600, pytest.param(5_000, marks=pytest.mark.system)])
def test_a_large_night_keeps_to_the_size_and_says_what_was_left_out(cells: int, verdict: NightVerdict) -> None:
    report = nights.large(cells, verdict)
    page = digest(report)
    assert len(page.encode()) <= BYTES_MAX
    assert f"{cells} cells on {len(report.devices)} devices" in page
    if page.count('<th scope="row">') < cells:
        assert f"benchfleet nightly show {nights.NIGHT} --format csv" in page


def test_texts_of_any_length_keep_a_page_small() -> None:
    endless = "x" * 100_000
    cells = tuple(dataclasses.replace(cell, reason=endless, sql=endless, rerun=endless) for cell in nights.FINDINGS)
    assert len(digest(dataclasses.replace(nights.REPORT, cells=cells, notes=(endless,))).encode()) <= BYTES_MAX


def test_the_first_screen_has_the_figures_of_the_night() -> None:
    header = tree(page_of("findings")).find("body/header")
    tiles = [text(item) for item in header.find("ul")]
    assert tiles == [
        "✗ confirmed 8 and 1 acknowledged",
        "✗ not loading 1",
        "○ missing 1",
        "? suspected 1",
        "= quarantined 1",
        "! lost devices 1",
        "Δ detectable change 1.1 % of latency_ns in half of the cells; 2.1 % in 9 of 10",
    ]
    assert text(header.find("h1")) == "✗ 10 cells got worse, 3 causes, 1 device lost, 1 cell suspected"


def test_cells_that_moved_together_are_one_line_with_their_details_inside() -> None:
    root = tree(page_of("findings"))
    (confirmed,) = (one for one in root.iter("section") if text(one.find("h2")).startswith("✗ confirmed"))
    (group,) = confirmed.findall("details")
    assert text(group.find("summary")) == "pi-03 8 cells regressed, latency_ns ×1.050 to ×1.064"
    articles = group.findall("article")
    assert len(articles) == 8
    for article in articles:
        (picture,) = article.iter(f"{SVG}svg")
        assert picture.get("role") == "img"
        assert picture.find(f"{SVG}title").text.startswith("latency_ns: 30 earlier nights between ")
        rerun, sql = (text(code) for code in article.iter("code"))
        assert rerun == "benchfleet nightly run nightly.yaml --select pi-03"
        assert sql.startswith("SELECT run, p50 FROM v_history")
        facts = [text(fact) for fact in article.find("div/ul")]
        assert {
            "n = 20 against 20",
            "a change of 1.1 % would be seen",
            "regression 7 (benchfleet regressions show 7)",
        } <= set(facts)
        assert any(fact.startswith("baseline runs ") for fact in facts)


def test_every_finding_is_named_by_a_sign_and_a_word_and_not_by_colour_alone() -> None:
    root = tree(page_of("findings"))
    headings = [text(one.find("h2")) for one in root.iter("section")]
    assert headings == [
        "! lost devices 1",
        "✗ confirmed 8",
        "✗ not loading 1",
        "○ missing 1",
        "? suspected 1",
        "≠ environment changed 1",
        "~ inconclusive 1",
        "= quarantined 1",
        "+ fixed 1",
        "+ improved 1",
        "· acknowledged 1",
        "The night",
    ]
    for table in root.iter("table"):
        assert table.find("caption") is not None
        assert all(heading.get("scope") for heading in table.iter("th"))
    assert root.get("lang") == "en"


def test_every_cell_of_a_night_is_in_its_table() -> None:
    (table,) = (
        one for one in tree(page_of("findings")).iter("table") if text(one.find("caption")).startswith("19 cells")
    )
    rows = [text(row) for row in table.iter("tr")]
    for cell in nights.FINDINGS:
        assert [row for row in rows if row.startswith(cell.label)], cell.label
    assert any(row.endswith("✓ clean ×1.001 [0.996–1.006] 83.8 µs 5 2.1 %") for row in rows)


def in_two_metrics() -> tuple[NightCell, ...]:
    again = (dataclasses.replace(cell, metric="latency_ns_p90", detectable=0.2) for cell in nights.FINDINGS[:8])
    return (*nights.FINDINGS[:8], *again)


def test_a_cell_that_is_judged_in_two_metrics_is_counted_once() -> None:
    root = tree(digest(dataclasses.replace(nights.QUIET, cells=in_two_metrics())))
    tiles = [text(item) for item in root.find("body/header/ul")]
    assert tiles[0] == "✗ confirmed 8"
    assert tiles[-1] == "Δ detectable change 1.1 % of latency_ns in half of the cells; 1.1 % in 9 of 10"
    assert [text(one.find("h2")) for one in root.iter("section")] == ["✗ confirmed 8", "The night"]
    assert next(text(caption) for caption in root.iter("caption")).startswith("8 cells on 3 devices, 16 verdicts;")


def drawn(cell: NightCell) -> Any:
    found = chart(cell)
    assert found is not None
    return found


def test_a_chart_shows_every_night_and_breaks_where_one_has_no_value() -> None:
    cell = nights.moved(NightVerdict.CONFIRMED, 1.05, "int8")
    shown = drawn(cell)
    assert shown.line.count("M") + shown.line.count("m") == 2
    assert shown.dots.count("h0") == 29
    assert shown.gaps.count("M") == 1
    assert shown.text.startswith("latency_ns: 30 earlier nights between 41.")
    assert shown.text.endswith(", 1 of them without a value; tonight 41.9 µs → 44.0 µs, ×1.050 [1.043–1.057]")


def test_larger_values_stand_higher_and_the_interval_holds_the_candidate() -> None:
    shown = drawn(nights.moved(NightVerdict.CONFIRMED, 1.05, "int8"))
    assert shown.candidate.y < shown.baseline.y  # an SVG counts from the top
    assert shown.interval.high < shown.candidate.y < shown.interval.low
    assert shown.expected == shown.baseline.y


@pytest.mark.parametrize("values", [(1.0,) * 5, (1e-9, 1e300), (float("nan"), 1.0, float("inf"), 2.0), (0.0, -5.0)])
def test_a_chart_stays_inside_of_its_drawing_whatever_the_values(values: tuple[float, ...]) -> None:
    points = tuple(NightPoint("n", nights.BEGAN, value, NightVerdict.CLEAN) for value in values)
    shown = drawn(nights.cell(NightVerdict.SUSPECTED, history=points, value=values[-1], expected=values[0]))
    x = y = 0
    for step, first, second in re.findall(r"([MLml])(-?\d+) (-?\d+)", shown.dots):
        x, y = (int(first), int(second)) if step in "ML" else (x + int(first), y + int(second))
        assert 0 < x < WIDTH
        assert 0 < y < HEIGHT


def test_a_cell_without_figures_has_no_chart() -> None:
    assert chart(nights.cell(NightVerdict.MISSING)) is None


def test_numbers_of_charts_are_whole() -> None:
    for page in map(page_of, EVERY):
        for path in paths(page):
            assert re.fullmatch(r"[MLVHmlvhz0-9 -]+", path), path


def test_the_standard_parser_reads_a_page_too() -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            seen.append(tag)

    Reader().feed(page_of("findings"))
    assert {"header", "main", "svg", "table"} <= set(seen)


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (nights.QUIET, "nothing got worse"),
        (dataclasses.replace(nights.QUIET, cells=()), "nothing was measured"),
        (dataclasses.replace(nights.QUIET, cells=nights.FINDINGS[:8]), "8 cells got worse, 1 cause"),
        (dataclasses.replace(nights.QUIET, cells=in_two_metrics()), "8 cells got worse, 2 causes"),
        (dataclasses.replace(nights.QUIET, lost=(*nights.REPORT.lost, *nights.REPORT.lost)), "1 device lost"),
    ],
)
def test_a_night_is_one_sentence(report: NightReport, sentence: str) -> None:
    assert words.headline(report) == sentence
