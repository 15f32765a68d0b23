from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import PurePosixPath

import pytest

from orchestrator.domain.comparison import Tolerance
from orchestrator.reporting.formats.plain_data import json_line, json_text, to_json


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (math.inf, None),
        (True, True),
        (3, 3),
        (Level.HIGH, 3),
        (datetime(2024, 6, 1, 5, 15, tzinfo=timezone(timedelta(hours=2))), "2024-06-01T03:15:00Z"),
        (datetime(2024, 6, 1, tzinfo=UTC).replace(tzinfo=None), "2024-06-01T00:00:00Z"),
        (date(2024, 6, 1), "2024-06-01"),
        (timedelta(minutes=1), 60.0),
        (Decimal("3"), 3),
        (Decimal("0.5"), 0.5),
        (Decimal("NaN"), None),
        (b"\x00\x01", "AAE="),
        ((1, 2.5, None), [1, 2.5, None]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1: {"x": math.nan}}, {"1": {"x": None}}),
        (PurePosixPath("a/b"), "a/b"),
    ],
)
def test_values_become_plain_data(value: object, plain: object) -> None:
    assert to_json(value) == plain
    json.loads(json_text(value))


@dataclass(frozen=True, slots=True)
class Undeclared:
    secret: str

    def __str__(self) -> str:
        return "its text"


def test_the_fields_of_an_object_are_no_keys_unless_a_view_declares_them() -> None:
    assert to_json(Undeclared("field")) == "its text"
    assert to_json([Tolerance()]) == [str(Tolerance())]


def test_json_is_safe_to_print_and_keeps_its_meaning() -> None:
    text = json_text({"stderr": "\x1b[2J \x9b2J \u202e µ\nnext"})

    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "µ" in text
    assert json.loads(text) == {"stderr": "\x1b[2J \x9b2J \u202e µ\nnext"}


def test_a_line_is_a_line() -> None:
    assert json_line({"absolute": 0.001, "text": "a\nb"}) == '{"absolute": 0.001, "text": "a\\nb"}'


def test_nested_values_are_converted_too() -> None:
    assert to_json([{"when": datetime(2024, 6, 1, tzinfo=UTC), "values": (1.0, math.nan)}]) == [
        {"when": "2024-06-01T00:00:00Z", "values": [1.0, None]}
    ]
