from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import PurePosixPath

import pytest

from orchestrator.domain.comparison import Agreement, OutputsAgreement, Tolerance
from orchestrator.domain.device import Limits
from orchestrator.domain.errors import ConfigError, Unreachable
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import judge_health
from orchestrator.domain.plan import DevicePlan, Excluded
from orchestrator.domain.run import DeviceRun, DeviceRunState, Offset, TrialState
from orchestrator.reporting.fleet import probe_rows
from orchestrator.reporting.plain_data import json_line, json_text, to_json


class Level(IntEnum):
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Sample:
    when: datetime
    values: tuple[float, ...]


def test_a_dataclass_becomes_its_fields_in_their_order() -> None:
    plain = to_json(
        DeviceRun("pi-03", DeviceRunState.FAILED, "gone", None, None, Offset(None, 0), {TrialState.MEASURED: 3})
    )

    assert plain == {
        "device": "pi-03",
        "state": "failed",
        "error": "gone",
        "hint": None,
        "plan_sha256": None,
        "offset": {"log_id": None, "last_seq": 0},
        "trials": {"measured": 3},
        "transport": "ssh",
    }
    assert isinstance(plain, dict)
    assert list(plain)[:2] == ["device", "state"]


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


def test_errors_say_what_and_where_and_what_to_do() -> None:
    lost = Unreachable("connection refused", "is it on?").at("pi-03", "connect")

    assert to_json(lost) == {
        "error": "Unreachable",
        "message": "connection refused",
        "hint": "is it on?",
        "device": "pi-03",
        "step": "connect",
    }
    assert to_json(ConfigError("bad")) == {"error": "ConfigError", "message": "bad", "hint": None}


def test_devices_that_answered_and_that_did_not_have_one_shape() -> None:
    lost = Unreachable("connection refused", "is it on?").at("pi-04", "connect")

    facts = Facts({"cpu_count": 4, "throttled": True})
    (concern,) = judge_health(facts, Limits())
    assert to_json(probe_rows({"pi-03": facts, "pi-04": lost}, {"pi-03": Limits()})) == [
        {"name": "pi-03", "facts": dict(facts.values), "concerns": [to_json(concern)], "error": None},
        {"name": "pi-04", "facts": None, "concerns": [], "error": to_json(lost)},
    ]


def test_a_plan_shows_the_document_that_is_shipped() -> None:
    plan = DevicePlan(
        "pi-03", (), (), (Excluded("int8", "no wheel"),), (), b'{"protocol": 1, "trials": []}', "ab12", 61.5
    )

    assert to_json(plan) == {
        "device": "pi-03",
        "sha256": "ab12",
        "estimate_s": 61.5,
        "excluded": [{"label": "int8", "reason": "no wheel"}],
        "document": {"protocol": 1, "trials": []},
    }


def test_what_was_not_measured_is_null() -> None:
    plain = to_json(OutputsAgreement(Agreement.UNKNOWN))

    assert isinstance(plain, dict)
    assert plain.pop("agreement") == "unknown"
    assert set(plain.values()) == {None}


def test_json_is_safe_to_print_and_keeps_its_meaning() -> None:
    text = json_text({"stderr": "\x1b[2J \x9b2J \u202e µ\nnext"})

    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "µ" in text
    assert json.loads(text) == {"stderr": "\x1b[2J \x9b2J \u202e µ\nnext"}


def test_a_line_is_a_line() -> None:
    assert json_line(Tolerance()) == '{"absolute": 0.001, "relative": 0.01}'


def test_nested_values_are_converted_too() -> None:
    sample = Sample(datetime(2024, 6, 1, tzinfo=UTC), (1.0, math.nan))

    assert to_json([sample]) == [{"when": "2024-06-01T00:00:00Z", "values": [1.0, None]}]
