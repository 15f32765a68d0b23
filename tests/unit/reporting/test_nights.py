"""A night in JSON, rows, JUnit, Markdown, on a terminal and in messages."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import re
import stat
import unicodedata
from collections import Counter
from pathlib import Path

import jsonschema
import junitparser
import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.night import NO_BASELINE, LostDevice, NightCell, NightReport, NightStage, NightVerdict
from orchestrator.reporting.formats import FORMATS
from orchestrator.reporting.nights.digest import digest
from orchestrator.reporting.nights.files import refuse_unwritable, write_night
from orchestrator.reporting.nights.messages import MESSAGES_MAX, messages
from orchestrator.reporting.nights.summary import summary
from orchestrator.reporting.nights.words import sections, wording_of
from orchestrator.reporting.reports.night import NIGHT, night_report
from orchestrator.reporting.shape import all_views
from orchestrator.reporting.tables.night import night_table
from tests.unit.reporting import nights
from tests.unit.reporting.rendering import drawn

GOLDEN = Path(__file__).parent / "golden"
EVERY = {"findings": nights.REPORT, "quiet": nights.QUIET, "hostile": nights.hostile()}


def written(report: NightReport, form: str) -> str:
    stream = io.StringIO()
    FORMATS[form].write(night_report(report), stream)
    return stream.getvalue()


@functools.cache  # to check the schema itself takes longer than to check what is written
def validator() -> jsonschema.Draft202012Validator:
    definitions = {view: declared.definition() for view, declared in all_views([NIGHT.json]).items()}
    schema = {"$defs": definitions, **NIGHT.json.schema()}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", EVERY)
def test_json_keeps_to_its_schema(name: str) -> None:
    validator().validate(json.loads(written(EVERY[name], "json")))


def test_a_new_field_of_a_cell_is_printed_or_left_out_on_purpose() -> None:
    keys = {key.name for key in all_views([NIGHT.json])["night-cell"].keys}
    # The coordinates of `cell` are keys of their own, and `memory` is for later nights alone.
    assert {field.name for field in dataclasses.fields(NightCell)} - keys == {"cell", "memory"}
    whole = {key.name for key in all_views([NIGHT.json])["night"].keys}
    of_later_nights = {"canary_values", "environments"}
    assert {field.name for field in dataclasses.fields(NightReport)} - of_later_nights <= whole


def suites(report: NightReport, tmp_path: Path) -> junitparser.JUnitXml:
    """Read a night as a public parser does."""
    file = tmp_path / "night.xml"
    file.write_text(written(report, "junit"), encoding="utf-8")
    return junitparser.JUnitXml.fromfile(str(file))


@pytest.mark.parametrize("name", EVERY)
def test_a_public_parser_counts_what_the_file_says(name: str, tmp_path: Path) -> None:
    read = suites(EVERY[name], tmp_path)
    said = (read.tests, read.failures, read.errors, read.skipped)
    read.update_statistics()  # type: ignore[no-untyped-call]
    assert (read.tests, read.failures, read.errors, read.skipped) == said
    assert said[0] == len(EVERY[name].cells) + len(EVERY[name].lost)


def test_junit_fails_regressions_and_skips_what_nobody_judged(tmp_path: Path) -> None:
    found: dict[str, list[str]] = {}
    for suite in suites(nights.REPORT, tmp_path):
        for case in suite:
            results = [(type(one).__name__, one.type or "", one.message or "") for one in case.result]
            for kind, named, message in results or [("Passed", "", "")]:
                found.setdefault(kind, []).append(named or message.partition(":")[0])
    assert {kind: Counter(names) for kind, names in found.items()} == {
        "Failure": Counter({"confirmed": 8, "does-not-load": 1, "missing": 1}),
        "Error": Counter({"lost": 1}),
        "Skipped": Counter(
            ["suspected", "acknowledged", "quarantined", "inconclusive", "environment changed"],
        ),
        "Passed": Counter({"": 4}),
    }


def test_junit_says_of_a_failure_what_a_reader_needs(tmp_path: Path) -> None:
    (suite,) = (one for one in suites(nights.REPORT, tmp_path) if str(one.name).endswith("pi-03"))
    (first,) = (case for case in suite if "variant-7" in str(case.name))
    (failure,) = first.result
    assert failure.message == f"confirmed: ×1.064 [1.057–1.071]; {nights.SLOWER}"
    for part in ("41.9 µs → 44.6 µs", "n = 20 against 20", "a change of 1.1 % would be seen", "rerun: ", "SQL: SELECT"):
        assert part in failure.text


def test_the_same_cell_of_two_sweeps_is_two_cases(tmp_path: Path) -> None:
    again = tuple(dataclasses.replace(cell, sweep="other") for cell in nights.FINDINGS)
    twice = dataclasses.replace(
        nights.REPORT, cells=(*nights.FINDINGS, *again), lost=(*nights.REPORT.lost, *nights.REPORT.lost)
    )
    for suite in suites(twice, tmp_path):
        names = [case.name for case in suite]
        assert len(set(names)) == len(names) > 0


def test_csv_has_a_row_for_each_cell_and_json_every_figure() -> None:
    assert len(written(nights.REPORT, "csv").splitlines()) == 1 + len(nights.FINDINGS)
    found = json.loads(written(nights.REPORT, "json"))
    assert (found["night"], found["exit_code"], found["counts"]["confirmed"]) == (nights.NIGHT, 1, 9)
    first = found["cells"][0]
    assert first["estimate"] == {
        "basis": "rerun",
        "ratio": 1.05,
        "low": 1.05 - 0.0072,
        "high": 1.05 + 0.0072,
        "before": 41_900.0,
        "after": 41_900.0 * 1.05,
    }
    assert len(first["history"]) == 30
    assert first["history"][12]["value"] is None
    (eight,) = (group for group in found["groups"] if group["cells"] == 8)
    assert eight["group"] == first["group"]
    assert eight["text"] == "8 cells regressed, latency_ns ×1.050 to ×1.064"


def test_a_night_is_drawn_as_its_golden_file_shows() -> None:
    assert drawn(night_table(nights.REPORT), 80) == (GOLDEN / "night.txt").read_text(encoding="utf-8")


def test_cells_without_a_baseline_are_a_line_with_their_number() -> None:
    cells = tuple(
        nights.cell(NightVerdict.INCONCLUSIVE, f"v{number}", metric="accuracy_top1", reason=NO_BASELINE)
        for number in range(24)
    )
    text = drawn(night_table(dataclasses.replace(nights.REPORT, cells=cells, lost=())), 100)
    assert "  pi-03 · 24 cells were not judged, accuracy_top1: no baseline to compare with\n" in text
    assert "v7" not in text


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("name", EVERY)
def test_a_terminal_gets_no_control_character_and_no_line_too_long(name: str, width: int) -> None:
    text = drawn(night_table(EVERY[name]), width)
    assert max(map(len, text.splitlines())) <= width
    assert not [one for one in text if unicodedata.category(one) in ("Cc", "Cf") and one != "\n"]


def test_colour_is_for_terminals_alone_and_never_alone() -> None:
    coloured = drawn(night_table(nights.REPORT), 80, terminal=True)
    assert "\x1b[1;31m✗ confirmed (8)" in coloured
    plain = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()]
    assert plain == drawn(night_table(nights.REPORT), 80).splitlines()


def test_the_page_of_a_build_has_its_figures_and_a_line_for_each_cause() -> None:
    page = written(nights.REPORT, "markdown")
    assert page == summary(nights.REPORT)
    assert page.startswith(f"## ✗ digits-nightly · night {nights.NIGHT}\n")
    (line,) = (one for one in page.splitlines() if "8 cells regressed" in one)
    assert line == (
        r"| pi-03 | 8 cells regressed, latency\_ns ×1.050 to ×1.064 | 20 against 20 | "
        f"{nights.SLOWER} | benchfleet nightly run nightly.yaml --select pi-03 |"
    )
    assert "- **coral-01** lost in the first look, 12 cells without a value: connect: no route to host" in page


def test_hostile_words_are_no_markup_of_a_page() -> None:
    page = summary(nights.hostile())
    assert not re.search(r"(?<!\\)<(script|img)", page)
    tables = [block.splitlines() for block in re.split(r"\n(?!\|)", page) if block.strip().startswith("|")]
    assert len(tables) > 8
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table if row}) == 1


def test_a_page_of_many_causes_stays_readable() -> None:
    page = summary(nights.large(1_200, NightVerdict.CONFIRMED))
    assert len(page.encode()) < 100_000
    assert "and 10 more groups" in page


def test_each_cause_is_one_message() -> None:
    found = messages(nights.REPORT)
    fixed = "digits · int8-badcal · tflite-runtime==2.14.0 · threads=1"
    assert [message.title for message in found] == [
        "✗ digits-nightly, pi-03: 8 cells regressed, latency_ns ×1.050 to ×1.064",
        "✗ digits-nightly, pi-03: digits · pruned · tflite-runtime==2.14.0 · threads=1 does not load, latency_ns",
        "! digits-nightly, coral-01: lost in the first look, 12 cells without a value",
        f"+ digits-nightly, pi-03: {fixed} is fixed, latency_ns ×0.950 [0.943–0.957]",
    ]
    assert [message.is_good for message in found] == [False, False, False, True]
    for message in found:
        assert message.body.endswith(f"night {nights.NIGHT}: benchfleet nightly show {nights.NIGHT}")
    assert found[0].body.count("×") == 8


def test_a_quiet_night_and_a_known_regression_are_no_message() -> None:
    assert messages(nights.QUIET) == ()
    known = tuple(cell for cell in nights.FINDINGS if cell.known)
    assert known
    assert messages(dataclasses.replace(nights.QUIET, cells=known)) == ()


def test_a_device_lost_in_several_stages_is_one_message_and_its_missing_cells_none() -> None:
    first, *_ = nights.REPORT.lost
    again = dataclasses.replace(first, stage=NightStage.CONFIRMATION, error="again")
    missing = tuple(cell for cell in nights.FINDINGS if cell.verdict is NightVerdict.MISSING)
    report = dataclasses.replace(nights.QUIET, cells=missing, lost=(first, again))
    (message,) = messages(report)
    assert message.title == "! digits-nightly, coral-01: lost in the first look, 12 cells without a value"
    late = messages(dataclasses.replace(report, lost=(again,)))
    assert again.stage is NightStage.CONFIRMATION
    assert any("missing" in message.title for message in late), "what crashed before is a cause of its own"


def test_a_lab_without_power_is_a_bounded_number_of_messages() -> None:
    lost = tuple(LostDevice(f"pi-{number}", NightStage.CANARY, "off", None, 3) for number in range(500))
    found = messages(dataclasses.replace(nights.QUIET, lost=lost))
    assert len(found) == MESSAGES_MAX
    assert found[-1].title == f"digits-nightly: {500 - MESSAGES_MAX + 1} more messages"


def test_messages_have_no_control_characters() -> None:
    for message in messages(nights.hostile()):
        text = message.title + message.body
        assert not [one for one in text if unicodedata.category(one) in ("Cc", "Cf") and one != "\n"]


def test_every_verdict_has_words_and_every_finding_a_section() -> None:
    assert {wording_of(verdict).heading for verdict in NightVerdict}
    shown = sum(section.cells for section in sections(nights.REPORT))
    assert shown == len(nights.FINDINGS) - nights.REPORT.counts[NightVerdict.CLEAN]


@pytest.mark.parametrize("form", ["html", "json", "junit", "markdown", "csv"])
def test_a_file_takes_the_place_of_the_one_before_at_once(form: str, tmp_path: Path) -> None:
    file = tmp_path / "night"
    write_night(nights.QUIET, form, file)
    write_night(nights.REPORT, form, file)
    text = digest(nights.REPORT) if form == "html" else written(nights.REPORT, form)
    assert file.read_text(encoding="utf-8") == text
    assert [one.name for one in tmp_path.iterdir()] == ["night"]
    assert not stat.S_IMODE(file.stat().st_mode) & 0o022


@pytest.mark.parametrize(
    ("place", "why"), [("none/night.html", "No such file or directory"), ("taken", "Is a directory")]
)
def test_a_place_where_no_file_can_be_written_is_refused_before_and_after(place: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    refused = rf"{place}: the html of the night cannot be written: {why}"
    with pytest.raises(ConfigError, match=refused):
        refuse_unwritable("html", tmp_path / place)
    with pytest.raises(ConfigError, match=refused):
        write_night(nights.QUIET, "html", tmp_path / place)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_a_place_that_is_fit_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "night.html").write_text("before")
    refuse_unwritable("html", tmp_path / "night.html")
    refuse_unwritable("html", tmp_path / "new.html")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"night.html": "before"}


def test_an_accuracy_that_fell_is_told_with_both_values() -> None:
    fallen = dataclasses.replace(
        nights.cell(NightVerdict.CONFIRMED, value=0.103, expected=0.983), metric="accuracy_top1"
    )
    (message,) = messages(dataclasses.replace(nights.QUIET, cells=(fallen,)))
    assert message.title.endswith("regressed, accuracy_top1 0.983 → 0.103")
