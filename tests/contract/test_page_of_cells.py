"""The page of a cell shows the power of its trials and the operators of its profile, or why there are none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    absent,
    number,
    power_account,
    power_trace,
    profile,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.planned_runs import LATENCIES
from tests.contract.served_pages import served, text_of
from tests.databases import Databases

pytestmark = pytest.mark.system  # of FastAPI, whose import alone would cost each worker of the quick loop a second
HOSTILE = "<b>c1</b>"
READINGS = {"power-gauge": [2_000_000, 6_000_000, 4_000_000], "energy-counter": [0, 1_500_000, 3_000_000]}
"""Microwatts, and microjoules since the reading before, each half a second."""


@pytest.fixture(scope="module")
def page(databases: Databases) -> Iterator[TestClient]:
    """Serve a run whose first cell has a profile, and whose second has a runtime without a profiler."""
    url = databases.migrated()
    pi, model, sweep = sample_device("pi-03"), sample_model(), replace(sample_sweep(), profile="operators")
    with open_store(url) as store:
        store.runs.create_run(sample_header("run", sweep, model), model, [pi])
        plan = sample_plan(pi, sweep, model)
        save_plan(store, "run", plan, save_snapshot(store, pi, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        first, second = (trial.key for trial in plan.trials if trial.kind is TrialKind.PROFILE)
        told = profile(("Gemm", "d1", 100.0), ("Conv", HOSTILE, 300.0), placed_on="CPUExecutionProvider")
        log = EventLog("run", plan).runner_started()
        measured = [trial.key for trial in plan.trials if trial.kind is TrialKind.MEASURE][:2]
        for trial, (kind, values) in zip(measured, READINGS.items(), strict=True):
            account = power_account(HOSTILE, kind=kind, trace=power_trace(values, 500_000_000))
            log.finished(trial, [LATENCIES], power=account)
        log.finished(first, [number("profile_runs", 20)], profile=told)
        log.finished(second, [number("profile_runs", 0), absent("operator_ns", "no profiler in this release")])
        store.logs.ingest([log.arrived()])
    yield from served(url)


@pytest.fixture(scope="module")
def jobs(page: TestClient) -> list[int]:
    """Return the ids of the cells, in the order of the plan."""
    job = page.get("/api/v1/runs/run/glance").json()["devices"][0]["job"]
    return sorted(one for one in range(job - 1, job + 2) if page.get(f"/api/v1/cells/{one}").status_code == 200)


def test_operators_are_drawn_with_their_shares(page: TestClient, jobs: list[int]) -> None:
    shown = page.get(f"/cells/{jobs[0]}", headers={"accept": "text/html"}).text
    operators = shown[shown.index('id="operators"') : shown.index('id="attempts"')]
    assert operators.index("Conv") < operators.index("Gemm")
    assert "400 ns an inference in operators, over 20 inferences" in operators
    assert "CPUExecutionProvider: 2" in operators
    assert "75 %" in operators
    assert HOSTILE not in operators


def test_the_interface_has_the_same_operators(page: TestClient, jobs: list[int]) -> None:
    address = f"/api/v1/cells/{jobs[0]}/profile"
    (found,) = page.get(address).json()
    assert [(one["operator"], one["inference_ns"]) for one in found["operators"]] == [("Conv", 300.0), ("Gemm", 100.0)]
    rows = list(csv.DictReader(io.StringIO(page.get(f"{address}?format=csv").text)))
    assert [row["name"] for row in rows] == [HOSTILE, "d1"]


def test_a_cell_without_a_profile_says_why(page: TestClient, jobs: list[int]) -> None:
    assert "No profile: no profiler in this release." in text_of(page, f"/cells/{jobs[1]}")
    (found,) = page.get(f"/api/v1/cells/{jobs[1]}/profile").json()
    assert (found["operators"], found["reason"]) == ([], "no profiler in this release")


def test_readings_of_power_are_watts_over_seconds(page: TestClient, jobs: list[int]) -> None:
    found = [one for job in jobs for one in page.get(f"/api/v1/cells/{job}/power").json()]
    assert {one["source"] for one in found} == {HOSTILE}
    found.sort(key=lambda one: len(one["watts"]), reverse=True)  # the plan's order is drawn by a seed
    assert [(one["seconds"], one["watts"]) for one in found] == [
        ([0.0, 0.5, 1.0], [2.0, 6.0, 4.0]),
        ([0.5, 1.0], [3.0, 6.0]),
    ]
    lines = [
        row
        for job in jobs
        for row in csv.DictReader(io.StringIO(page.get(f"/api/v1/cells/{job}/power?format=csv").text))
    ]
    assert sorted(float(row["watts"]) for row in lines) == [2.0, 3.0, 4.0, 6.0, 6.0]


def test_power_is_drawn_with_a_table(page: TestClient, jobs: list[int]) -> None:
    job = next(job for job in jobs if page.get(f"/api/v1/cells/{job}/power").json())
    shown = page.get(f"/cells/{job}", headers={"accept": "text/html"}).text
    power = shown[shown.index('id="power"') : shown.index('id="operators"')]
    assert power.count("<polyline") == len(page.get(f"/api/v1/cells/{job}/power").json())
    assert "6.00 W" in power
    assert HOSTILE not in power
