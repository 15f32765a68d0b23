from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from orchestrator.reporting.formats import FORMATS
from orchestrator.reporting.reports.sql_rows import rows_report
from orchestrator.reporting.tables.rows import row_table
from tests.unit.reporting.rendering import drawn

WHEN = datetime(2024, 6, 1, 3, 15, tzinfo=UTC)


def write_csv(stream: io.StringIO, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    FORMATS["csv"].write(rows_report(columns, lines), stream)


def write_json(stream: io.StringIO, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    FORMATS["json"].write(rows_report(columns, lines), stream)


def write_markdown(stream: io.StringIO, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    FORMATS["markdown"].write(rows_report(columns, lines), stream)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_csv_keeps_values_as_they_are_and_leaves_null_empty() -> None:
    stream = io.StringIO()
    write_csv(stream, ["device", "p50_ns", "when", "raw"], [["a,\x1bb", 41_873.25, WHEN, b"\x01\xff"], [None] * 4])

    assert list(csv.reader(io.StringIO(stream.getvalue()))) == [
        ["device", "p50_ns", "when", "raw"],
        ["a,\x1bb", "41873.25", "2024-06-01T03:15:00Z", "01ff"],
        ["", "", "", ""],
    ]


def test_csv_on_a_terminal_has_no_control_characters() -> None:
    stream = Terminal()
    write_csv(stream, ["na\x1bme"], [["\x1b[2J"]])

    assert stream.getvalue() == "na\\x1bme\n\\x1b[2J\n"


def test_json_is_an_array_of_objects_with_null_for_null() -> None:
    stream = io.StringIO()
    write_json(stream, ["device", "p50_ns", "n"], [["pi-03", None, Decimal("5")], ["µ\x1b", 1.5, 2]])

    assert json.loads(stream.getvalue()) == [
        {"device": "pi-03", "p50_ns": None, "n": 5},
        {"device": "µ\x1b", "p50_ns": 1.5, "n": 2},
    ]
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 4


def test_json_of_no_rows_is_an_empty_array() -> None:
    stream = io.StringIO()
    write_json(stream, ["device"], [])

    assert json.loads(stream.getvalue()) == []


def test_json_loses_no_column_to_another_of_the_same_name() -> None:
    stream = io.StringIO()
    write_json(stream, ["p50", "p50", "p50_2", "p50"], [[1, 2, 3, 4]])

    assert json.loads(stream.getvalue()) == [{"p50": 1, "p50_2": 2, "p50_2_2": 3, "p50_3": 4}]


@pytest.mark.parametrize(
    ("write", "written"),
    [
        (write_csv, "n\n1\n2\n"),
        (write_json, '[\n{"n": 1},\n{"n": 2}\n]\n'),
        (write_markdown, "| n |\n| --- |\n| 1 |\n| 2 |\n"),
    ],
)
def test_rows_are_written_while_they_come(write: Callable[..., None], written: str) -> None:
    stream = io.StringIO()

    def endless() -> Iterator[list[int]]:
        yield [1]
        assert "1" in stream.getvalue()
        yield [2]

    write(stream, ["n"], endless())

    assert stream.getvalue() == written


def test_markdown_shows_what_a_device_says_and_obeys_none_of_it() -> None:
    stream = io.StringIO()
    said = "a|b\n<img src=x> [link](http://x) **bold** `code` \x1b[2J\u202e"
    write_markdown(stream, ["no_te"], [[said], [None], [1234567.25], [WHEN]])

    assert stream.getvalue().splitlines() == [
        r"| no\_te |",
        "| --- |",
        r"| a\|b \<img src=x\> \[link\]\(http\://x\) \*\*bold\*\* \`code\` \\x1b\[2J\\u202e |",
        "| – |",
        "| 1234567.25 |",
        "| 2024-06-01T03:15:00Z |",
    ]


def test_a_table_lines_numbers_up_at_the_right_and_shows_null_as_absent() -> None:
    table = row_table(["n", "ok", "when", "raw"], [[1, True, WHEN, b"123"], [1000, None, None, None], [None] * 4])

    assert drawn(table) == (
        "   n  ok    when                  raw\n"
        "   1  True  2024-06-01T03:15:00Z  3 bytes\n"
        "1000  –     –                     –\n"
        "   –  –     –                     –\n"
    )


def test_rows_that_are_too_wide_for_the_console_take_a_line_for_each_column() -> None:
    table = row_table(
        ["device", "model_sha256", "board"], [["pi-03", "0123456789abcdef" * 2, "Raspberry Pi 5"], [None] * 3]
    )

    assert drawn(table, 38) == (
        "device        pi-03\n"
        "model_sha256\n"
        "0123456789abcdef0123456789abcdef\n"
        "board         Raspberry Pi 5\n"
        "\n"
        "device        –\n"
        "model_sha256  –\n"
        "board         –\n"
    )
