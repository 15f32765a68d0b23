"""Words of PostgreSQL in SQLite's way: what is said is changed, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.console.postgres_words import in_sqlite_words

SAME = [
    "SELECT 1",
    "SELECT 'percentile_cont(0.5) WITHIN GROUP (ORDER BY x)' FROM t",
    'SELECT "jsonb_each" FROM t -- jsonb_each(x) within group (order by',
    "SELECT /* jsonb_each(facts) WITHIN GROUP (ORDER BY x) */ within, groups FROM [jsonb_each(x)]",
    "SELECT rank(1) WITHIN GROUP (ORDER BY x) FROM t",
    "SELECT within FROM (SELECT 1 AS within)",
    "SELECT 'unfinished jsonb_each(x)",
    "SELECT jsonb_each FROM t",
    ") WITHIN GROUP (ORDER BY",
    "percentile_cont(0.5) WITHIN GROUP (ORDER",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x",
]


@pytest.mark.parametrize("statement", SAME)
def test_all_else_stays_as_typed(statement: str) -> None:
    assert in_sqlite_words(statement) == statement


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("percentile_cont(0.9) WITHIN GROUP (ORDER BY value)", "percentile_cont(value, 0.9, 0)"),
        ("PERCENTILE_DISC ( 0.5 ) within group(order by a.b DESC )", "PERCENTILE_DISC (a.b, 0.5, 1)"),
        ("mode() WITHIN GROUP (ORDER BY variant ASC) FILTER (WHERE x)", "mode(variant, 0) FILTER (WHERE x)"),
        (
            "percentile_cont((SELECT max(s) FROM t)) WITHIN /* so */ GROUP (ORDER BY (a + b) * f(c, ')'))",
            "percentile_cont((a + b) * f(c, ')'), (SELECT max(s) FROM t), 0)",
        ),
        (
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), percentile_cont(0.9) WITHIN GROUP (ORDER BY x)",
            "SELECT percentile_cont(x, 0.5, 0), percentile_cont(x, 0.9, 0)",
        ),
        (
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY (SELECT mode() WITHIN GROUP (ORDER BY y) FROM t))",
            "percentile_cont((SELECT mode(y, 0) FROM t), 0.5, 0)",
        ),
        ("SELECT * FROM t, jsonb_each(t.facts) AS f", "SELECT * FROM t, json_each(t.facts) AS f"),
        ("FROM JSONB_ARRAY_ELEMENTS_TEXT (invalid)", "FROM json_each (invalid)"),
    ],
)
def test_what_sqlite_lacks_is_said_in_its_way(statement: str, expected: str) -> None:
    assert in_sqlite_words(statement) == expected


def test_a_comment_within_an_order_takes_nothing_with_it() -> None:
    found = in_sqlite_words(
        "SELECT percentile_cont(0.5 -- half\n) WITHIN GROUP (ORDER BY a -- the\n + b -- sum\n) FROM t"
    )
    assert found == "SELECT percentile_cont(a -- the\n + b, 0.5, 0) FROM t"


def test_a_long_statement_takes_a_time_that_grows_with_its_length() -> None:
    """A thousand quantiles in one another's company, and as many brackets that nobody closes."""
    many = "SELECT " + ", ".join(["percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"] * 1_000)
    assert in_sqlite_words(many).count("0.5, 0)") == 1_000
    assert in_sqlite_words("jsonb_each(" * 1_000).count("json_each(") == 1_000


WORDS = ("percentile_cont", "mode", "within", "group", "order", "by", "desc", "jsonb_each", "x", "0.5", "(", ")", ",")
MARKS = ("'", '"', "--", "\n", "/*", "*/", "[", "]", "`", ";", " ", "''", "$1")


@given(st.lists(st.sampled_from(WORDS + MARKS)))
def test_no_order_of_words_and_marks_is_beyond_it(words: list[str]) -> None:
    statement = " ".join(words)
    found = in_sqlite_words(statement)
    if "within" not in statement and "jsonb_each" not in statement:
        assert found == statement
    # Whatever was refused stays refused: a statement never becomes two, and no text or comment opens.
    with closing(sqlite3.connect(":memory:")) as connection:
        for text in (statement, found):
            assert sqlite3.complete_statement(text + ";") == sqlite3.complete_statement(statement + ";")
        assert connection.total_changes == 0
