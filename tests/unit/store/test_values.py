"""Cleaning, column types, wording and derived states."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from device_worker.protocol.limits import JSON_VALUES_MAX
from orchestrator.domain.run import DeviceRunState, RunState, run_state
from orchestrator.store.sql.column_types import Json, UtcTime, canonical_json, read_json
from orchestrator.store.values.hygiene import Unfit, clean_json, clean_tail, clean_text
from orchestrator.store.values.wording import describe_failure

SQLITE = dialect()
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(st.text(), st.integers(1, 30))
def test_clean_text_is_short_and_can_be_stored(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= limit
    assert not set(cleaned) & set(map(chr, [*range(9), *range(11, 32), *range(127, 160), 0x202E]))
    cleaned.encode()


def test_clean_text_stays_as_it_is() -> None:
    assert clean_text("Änderung\n\tat 5 °C ✓", 100) == "Änderung\n\tat 5 °C ✓"
    assert clean_text("abcdef", 4) == "abc…"


@pytest.mark.long
def test_every_character_that_is_unwanted_is_removed_even_on_its_own() -> None:
    bidi = [0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    unwanted = {chr(code) for code in [*range(9), *range(11, 32), *range(127, 160), *bidi, *range(0xD800, 0xE000)]}
    removed = {char for char in map(chr, range(sys.maxunicode + 1)) if clean_text(char, 1) != char}
    assert removed == unwanted


def test_of_a_tail_the_end_is_kept() -> None:
    assert clean_tail("first\x00 … last", 4) == "last"
    assert clean_tail("", 4) == ""


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 10**400, [[[[[[[[[[[[[[1]]]]]]]]]]]]]], [0] * 30_000, {1, 2}]
)
def test_json_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(Unfit):
        clean_json(value)


def test_large_integers_become_floats() -> None:
    assert clean_json({"a": 2**64, "b": [True, None, 2**63 - 1]}) == {"a": float(2**64), "b": [True, None, 2**63 - 1]}


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.dictionaries(st.text(), LEAVES | st.lists(LEAVES) | st.dictionaries(st.text(), LEAVES))


@given(DOCUMENTS)
def test_a_clean_document_stays_as_it_is(document: dict[str, Any]) -> None:
    cleaned = clean_json(document)
    assert clean_json(cleaned) == cleaned
    # Within a list no document is taken for clean at sight.
    assert clean_json([document]) == [cleaned]
    canonical_json(cleaned).encode()


@pytest.mark.parametrize("value", ["a\x00", "x" * 5_000, 2**64, float("inf"), 10**400, {"b": "\x9b"}, ["\u202e"]])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_member_of_a_document_is_overlooked(value: Any, depth: int) -> None:
    document: dict[str, Any] = {"a": 1, "b": value}
    for _ in range(depth):
        document = {"inner": document}
    try:
        cleaned = clean_json(document)
    except Unfit:
        return
    assert repr(cleaned) != repr(document)


@pytest.mark.parametrize("key", ["a\x00", "x" * 300])
def test_no_key_of_a_document_is_overlooked(key: str) -> None:
    assert key not in clean_json({key: 1})
    assert key not in clean_json({"inner": {key: 1}})["inner"]


@pytest.mark.parametrize("columns", [1, 141, 1000])
def test_a_document_of_too_many_values_is_refused(columns: int) -> None:
    rows = JSON_VALUES_MAX // columns + 1
    row = {str(number): number for number in range(columns)}
    with pytest.raises(Unfit):
        clean_json({str(number): number if columns == 1 else row for number in range(rows)})


def test_canonical_json_is_one_text_per_value() -> None:
    assert (
        canonical_json({"b": 1, "a": [1.5, None, "é"]})
        == '{"a":[1.5,null,"é"],"b":1}'
        == canonical_json({"a": [1.5, None, "é"], "b": 1})
    )


@given(MOMENTS, MOMENTS)
def test_moments_on_sqlite_come_back_and_sort_as_text(one: datetime, other: datetime) -> None:
    kind = UtcTime()
    texts = [kind.process_bind_param(moment, SQLITE) for moment in (one, other)]
    assert [kind.process_result_value(text, SQLITE) for text in texts] == [one, other]
    assert (texts[0] < texts[1]) == (one < other)
    assert {len(text) for text in texts} == {27}


def test_moments_of_other_zones_are_stored_in_utc() -> None:
    moment = datetime(2026, 3, 1, 10, 30, tzinfo=timezone(timedelta(hours=2)))
    assert UtcTime().process_bind_param(moment, SQLITE) == "2026-03-01T08:30:00.000000Z"


def test_naive_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        UtcTime().process_bind_param(datetime(2026, 3, 1), SQLITE)


@pytest.mark.parametrize("kind", [UtcTime(), Json()])
def test_nothing_is_null(kind: Any) -> None:
    assert kind.process_bind_param(None, SQLITE) is None
    assert kind.process_result_value(None, SQLITE) is None


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("timeout", "after 120 s\nmore", "timeout: after 120 s"),
        ("timeout", None, "timeout"),
        (None, "\n", ""),
        (None, " x ", "x"),
    ],
)
def test_a_failure_in_one_line(kind: str | None, message: str | None, said: str) -> None:
    assert describe_failure(kind, message) == said


@given(st.lists(st.sampled_from(DeviceRunState), min_size=1, max_size=4), st.booleans())
def test_a_run_is_complete_only_if_everything_is(devices: list[DeviceRunState], missing: bool) -> None:
    state = run_state(devices, trials_missing=missing)
    all_complete = set(devices) == {DeviceRunState.COMPLETE}
    assert (state is RunState.COMPLETE) == (all_complete and not missing)
    under_way = {DeviceRunState.PLANNED, DeviceRunState.RUNNING} & set(devices)
    assert (state is RunState.ACTIVE) == bool(under_way)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_json_of_postgresql_is_read_as_it_was_written_and_shared_by_nobody(value: Any) -> None:
    text = canonical_json(value).encode()
    first, second = read_json(text), read_json(text)
    assert first == second == value
    if isinstance(first, dict):
        first["threads"] = "changed"
        assert read_json(text) == second


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        read_json(b"{")
