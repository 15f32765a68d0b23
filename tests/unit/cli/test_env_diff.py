"""What differs around two runs, as a shell script sees it; and two runs compared by two names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command, Ended
from tests.unit.cli.measured_runs import fail_to_reach, measure

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

FAST = (1000, 1001, 1002)


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """Two runs of int8; the second has fp32 too, under another kernel, and a third reached no device."""
    measure(database_file, {"int8": FAST}, "r1-old")
    measure(database_file, {"int8": FAST, "fp32": FAST}, "r2-new", 24, kernel="6.6.31")
    fail_to_reach(database_file, "r3-lost", hours=48)
    return database_file


def said(ended: Ended) -> Any:
    assert ended.code == ExitCode.FINE, ended.err
    return json.loads(ended.out)


def test_facts_and_cells_that_differ_are_named_for_each_common_device(command: Command) -> None:
    found = said(command("env-diff", "r1", "r2", "--json"))
    (device,) = found["devices"]
    assert device["environment"] == [{"fact": "kernel", "before": "6.6.20", "after": "6.6.31"}]
    assert (device["hardware"], device["bytes"], device["same"]) == ([], [], False)
    assert device["only_before"] == []
    assert device["only_after"] == ["fp32 · tflite-runtime==2.14.0 · threads=1"]
    back = said(command("env-diff", "r2", "r1", "--json"))["devices"][0]
    assert back["environment"] == [{"fact": "kernel", "before": "6.6.31", "after": "6.6.20"}]
    assert back["only_before"] == device["only_after"]
    lines = command("env-diff", "r1", "r2", "--format", "csv").out.splitlines()
    assert "pi-03,environment,kernel,6.6.20,6.6.31" in lines


def test_a_device_that_was_never_reached_is_not_called_the_same(command: Command) -> None:
    (device,) = said(command("env-diff", "r2", "r3", "--json"))["devices"]
    assert not device["same"]
    assert device["unknown"] == "the facts of r3-lost are not on record: no plan was made for the device"
    assert device["only_before"] != []


def test_a_run_has_nothing_to_differ_from_itself(command: Command) -> None:
    ended = command("env-diff", "r1", "r1")
    assert ended.code == ExitCode.USAGE
    assert "error: run r1-old would be compared with itself" in ended.err


def test_two_runs_are_compared_by_two_names(command: Command) -> None:
    assert said(command("compare", "r2", "r1", "--json")) == said(command("compare", "r2", "--against", "r1", "--json"))
    both = command("compare", "r2", "r1", "--against", "r1")
    assert both.code == ExitCode.USAGE
    assert "leave one of them out" in both.err
