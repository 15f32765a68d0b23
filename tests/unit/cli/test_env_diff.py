"""What differs around two runs, as a shell script sees it; and two runs compared by two names."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.facts import Facts
from orchestrator.domain.run import RunModel
from orchestrator.domain.sweep import SweptModel
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    number,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
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


def measure_two_models(database: Path, run: str) -> None:
    """Store a run of int8 of the model that all runs here have, and of another model."""
    digits, face, device = sample_model(), sample_model("face"), sample_device()
    models = tuple(SweptModel(one.name, one.directory, ("int8",)) for one in (digits, face))
    sweep = replace(sample_sweep(("int8",)), models=models)
    with open_store(str(database)) as store:
        header = sample_header(run, sweep, digits, STARTED_AT + timedelta(hours=60))
        header = replace(header, further=(RunModel("face", face.directory),))
        store.runs.create_run(header, digits, [device], further=(face,))
        plan = sample_plan(device, sweep, digits, face)
        save_plan(store, run, plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        log = EventLog(run, plan)
        for trial in plan.trials:
            log.finished(trial.key, [number("latency_ns", 1000.0 + trial.index)])
        store.logs.ingest([log.run_finished().arrived()])


def test_a_cell_is_the_same_whether_its_run_has_one_model_or_several(lab: Path, command: Command) -> None:
    measure_two_models(lab, "r4-two")
    (device,) = said(command("env-diff", "r1", "r4", "--json"))["devices"]
    assert device["only_before"] == []
    assert device["only_after"] == ["face/int8 · tflite-runtime==2.14.0 · threads=1"]
    groups = said(command("compare", "r4", "r1", "--json"))["groups"]
    compared = {group["model"]: group["base"] is not None and group["rows"][0]["ratio"] is not None for group in groups}
    assert compared == {"digits": True, "face": False}
    # Words of either run name the cell in either run.
    for run, cell in (("r4", "model=digits"), ("r1", "model=digits"), ("r1", "digits/int8 · tflite-runtime==2.14.0")):
        shown = command("runs", "show", run, "--cell", cell if "=" in cell[:6] else f"{cell} · threads=1")
        assert shown.code == ExitCode.FINE, shown.err
    picked = command("compare", "r4", "r1", "--cell", "digits/int8 · tflite-runtime==2.14.0 · threads=1")
    assert picked.code == ExitCode.FINE, picked.err


def test_a_run_has_nothing_to_differ_from_itself(command: Command) -> None:
    ended = command("env-diff", "r1", "r1")
    assert ended.code == ExitCode.USAGE
    assert "error: run r1-old would be compared with itself" in ended.err


def test_two_runs_are_compared_by_two_names(command: Command) -> None:
    assert said(command("compare", "r2", "r1", "--json")) == said(command("compare", "r2", "--against", "r1", "--json"))
    both = command("compare", "r2", "r1", "--against", "r1")
    assert both.code == ExitCode.USAGE
    assert "leave one of them out" in both.err
