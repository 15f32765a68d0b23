"""One text of a statement has one answer on SQLite and on PostgreSQL, and a mistyped name is told what was meant."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.facts import Facts
from orchestrator.store.base import SqlConsole
from orchestrator.store.console import sqlite_aggregates
from orchestrator.store.console.readonly import open_console
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, sample_device, save_snapshot
from tests.contract.planned_runs import Planned

VALUES = (3.5, 9.25, 1e9, 4.0, 4.0, 1e9 + 1, -7.0, 0.125, 12.0, 5.0)
GIVEN = f"WITH given(place, x) AS (VALUES {', '.join(map(str, enumerate(VALUES)))}) "


@pytest.fixture
def console(store: Store) -> Iterator[SqlConsole]:
    # In this process: what people get computes in another one, by the same module.
    with closing(open_console(store.database.url.render_as_string(hide_password=False), own=True)) as opened:
        yield opened


def asked(console: SqlConsole, statement: str) -> Sequence[tuple[Any, ...]]:
    return [tuple(row) for row in console.query(statement)[1]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("stddev", statistics.stdev(VALUES)),
        ("stddev_samp", statistics.stdev(VALUES)),
        ("stddev_pop", statistics.pstdev(VALUES)),
        ("variance", statistics.variance(VALUES)),
        ("var_samp", statistics.variance(VALUES)),
        ("var_pop", statistics.pvariance(VALUES)),
    ],
)
def test_deviations_are_those_of_all_values(console: SqlConsole, function: str, expected: float) -> None:
    ((found,),) = asked(console, f"{GIVEN} SELECT CAST({function}(x) AS double precision) FROM given")
    assert found == pytest.approx(expected, rel=1e-12)


def test_deviations_of_too_few_values_are_missing(console: SqlConsole) -> None:
    statement = f"{GIVEN} SELECT stddev(x), stddev_pop(x), variance(x) FROM given WHERE place "
    assert asked(console, statement + "< 0") == [(None, None, None)]
    assert [tuple(one if one is None else float(one) for one in row) for row in asked(console, statement + "= 1")] == [
        (None, 0.0, None)
    ]
    nulls = f"{GIVEN} SELECT CAST(stddev(CASE WHEN place < 2 THEN x END) AS double precision) FROM given"
    assert asked(console, nulls) == [(pytest.approx(statistics.stdev(VALUES[:2])),)]


def test_a_deviation_moves_with_its_window_and_keeps_no_rest(console: SqlConsole) -> None:
    """Values a billion times as large as the others come into the window, and leave it."""
    window = "ORDER BY place ROWS BETWEEN 2 PRECEDING AND CURRENT ROW"
    found = asked(console, f"{GIVEN} SELECT CAST(stddev(x) OVER ({window}) AS double precision) FROM given")
    expected = [statistics.stdev(VALUES[max(0, place - 2) : place + 1]) for place in range(1, len(VALUES))]
    assert found[0] == (None,)
    assert [one for (one,) in found[1:]] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.5, 0.9, 0.99, 1])
def test_quantiles_have_one_spelling(console: SqlConsole, share: float) -> None:
    statement = f"""{GIVEN} SELECT percentile_cont({share}) WITHIN GROUP (ORDER BY x),
        percentile_cont({share}) WITHIN GROUP (ORDER BY x DESC), percentile_disc({share}) WITHIN GROUP (ORDER BY x),
        percentile_disc({share}) WITHIN GROUP (ORDER BY x DESC) FROM given"""
    (found,) = asked(console, statement)
    rising = sorted(VALUES)
    place = max(1, math.ceil(share * len(VALUES))) - 1
    falling = np.quantile(VALUES, 1 - share)
    assert [float(one) for one in found] == pytest.approx(
        [np.quantile(VALUES, share), falling, rising[place], rising[::-1][place]], rel=1e-12
    )


def test_quantiles_of_groups_and_of_nothing(console: SqlConsole) -> None:
    median = "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)"
    groups = f"{GIVEN} SELECT place % 2 AS part, {median} FROM given GROUP BY place % 2 ORDER BY 1"
    expected = [(0, np.median(VALUES[::2])), (1, np.median(VALUES[1::2]))]
    assert asked(console, groups) == expected
    assert asked(console, f"{GIVEN} SELECT {median} FROM given WHERE x IS NULL") == [(None,)]
    filtered = f"{GIVEN} SELECT {median} FILTER (WHERE x < 10), mode() WITHIN GROUP (ORDER BY x) FROM given"
    assert [tuple(map(float, row)) for row in asked(console, filtered)] == [(4.0, 4.0)]


def test_a_share_beyond_all_shares_and_a_text_are_refused_with_the_reason(console: SqlConsole) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        asked(console, f"{GIVEN} SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY x) FROM given")
    with pytest.raises(ConfigError, match=r"stddev.*(no number|does not exist)"):
        asked(console, "SELECT stddev(name) FROM (SELECT 'a' AS name UNION ALL SELECT 'b') AS named")


def test_json_comes_as_rows(console: SqlConsole, store: Store, planned: Planned) -> None:
    trial, *_ = planned.measures
    store.logs.ingest([planned.log().finished(trial, invalid=["too-hot", "throttled"]).arrived()])
    reasons = "SELECT reason.value FROM attempt, jsonb_array_elements_text(attempt.invalid) AS reason ORDER BY 1"
    assert asked(console, reasons) == [("throttled",), ("too-hot",)]
    save_snapshot(store, sample_device(), Facts({**FACTS, "kernel": "6.6.99"}), STARTED_AT)
    facts = """SELECT fact.key, fact.value FROM device_snapshot, jsonb_each(device_snapshot.facts) AS fact
        WHERE fact.key IN ('kernel', 'cpu_count') AND facts ->> 'kernel' = '6.6.99' ORDER BY fact.key"""
    assert asked(console, facts) == [("cpu_count", FACTS["cpu_count"]), ("kernel", "6.6.99")]


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT devise FROM v_cell", "did you mean 'device'? v_cell has run, run_started_at, device, model, "),
        ("SELECT c.vale FROM v_cell AS c", "did you mean 'value'? v_cell has "),
        ("SELECT p99 FROM v_cell", "'p99' is a column of v_history, measurement v_cell has "),
        ("SELECT * FROM v_cel", "did you mean 'v_cell'? views to begin with: v_cell, "),
        ("SELECT * FROM runs", "did you mean 'run'? views to begin with: v_cell, "),
        ("SELECT stdev(value) FROM v_cell", "did you mean 'stddev'?"),
        ("SELECT median(value) FROM v_cell", "percentile_cont(0.5) WITHIN GROUP (ORDER BY value) is the median"),
        ("SELECT quantile(value, 0.9) FROM v_cell", "percentile_cont(0.5) WITHIN GROUP (ORDER BY value) is the median"),
        ("SELECT * FROM zzzzzzzz", "views to begin with: v_cell, "),
    ],
)
def test_a_mistyped_name_is_told_what_was_meant(console: SqlConsole, statement: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(console, statement)
    assert str(caught.value.hint).startswith(hint)
    assert asked(console, "SELECT 1") == [(1,)]


def test_quantiles_hold_a_bounded_number_of_values(sqlite_console: SqlConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_aggregates, "VALUES_MAX", 5)
    statement = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM given"
    with pytest.raises(ConfigError, match="takes too much memory"):
        asked(sqlite_console, GIVEN + statement)
    groups = f"{GIVEN} {statement} GROUP BY place % 3 ORDER BY place % 3"
    assert asked(sqlite_console, groups) == [(3.75,), (4.0,), (1e9,)]


@pytest.fixture
def sqlite_console(kept_sqlite_store: Store) -> Iterator[SqlConsole]:
    with closing(open_console(str(kept_sqlite_store.database.url.database), own=True)) as opened:
        yield opened
