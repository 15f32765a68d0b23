"""The page of a run of several models names the model wherever two cells would look alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import RunModel
from orchestrator.domain.sweep import SweptModel
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.served_pages import served, text_of
from tests.databases import Databases

pytestmark = pytest.mark.system  # of FastAPI, whose import alone would cost each worker of the quick loop a second
PI, DIGITS, FACE = sample_device("pi-03"), sample_model("digits"), sample_model("face")
VARIANTS = ("fp32", "int8")
SWEEP = replace(
    sample_sweep(trials=2),
    models=(SweptModel("digits", DIGITS.directory, VARIANTS), SweptModel("face", FACE.directory, VARIANTS)),
)


@pytest.fixture(scope="module")
def page(databases: Databases) -> Iterator[TestClient]:
    """Serve a lab with one run of two models."""
    url = databases.migrated()
    with open_store(url) as store:
        header = replace(sample_header("both", SWEEP, DIGITS), further=(RunModel("face", FACE.directory),))
        store.runs.create_run(header, DIGITS, [PI], further=(FACE,))
        plan = sample_plan(PI, SWEEP, DIGITS, FACE)
        save_plan(store, "both", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        log = EventLog("both", plan).runner_started()
        for number, trial in enumerate(one.key for one in plan.trials if one.kind is TrialKind.MEASURE):
            samples = [40_000 + 100 * number + place for place in range(300)]
            log.started(trial).finished(trial, [Sampled("latency_ns", samples)])
        store.logs.ingest([log.run_finished().arrived()])
    yield from served(url)


def test_a_run_links_each_model_and_names_the_model_of_each_cell(page: TestClient) -> None:
    shown = text_of(page, "/runs/both")
    assert '<a href="/models#digits">digits</a>, <a href="/models#face">face</a>' in shown
    for model in ("digits", "face"):
        assert f">{model}/fp32<" in shown
    header = page.get("/api/v1/runs/both").json()["record"]["header"]
    assert [model["name"] for model in header["models"]] == ["digits", "face"]


def test_lists_find_the_run_by_either_model(page: TestClient) -> None:
    for model in ("digits", "face", "fa*"):
        assert [run["models"] for run in page.get(f"/api/v1/runs?model={model}").json()] == [["digits", "face"]]


def test_a_comparison_and_its_plane_keep_the_models_apart(page: TestClient) -> None:
    shown = text_of(page, "/compare?run=both&by=variant")
    for model in ("digits", "face"):
        assert f"{model} · pi-03 · " in shown
    compared = page.get("/api/v1/runs/both/comparison?by=variant").json()
    assert [(group["model"], len(group["rows"])) for group in compared["groups"]] == [("digits", 1), ("face", 1)]
