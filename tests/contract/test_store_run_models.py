"""A run of several models: each has variants, lineage, cells and series of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.run import DeviceRunState, RunModel
from orchestrator.domain.run_filter import RunFilter
from orchestrator.domain.sweep import SweptModel
from orchestrator.store.console.run_list import list_runs
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

DIGITS, FACE = sample_model("digits"), sample_model("face")
SWEEP = replace(
    sample_sweep(),
    models=(
        SweptModel("digits", DIGITS.directory, ("fp32", "int8")),
        SweptModel("face", FACE.directory, ("fp32", "fp16")),
    ),
)
DEVICE = sample_device()


def create(store: Store, run: str = "both") -> None:
    header = sample_header(run, SWEEP, DIGITS)
    header = replace(header, further=(RunModel("face", FACE.directory),))
    store.runs.create_run(header, DIGITS, [DEVICE], further=(FACE,))


def planned(store: Store, run: str = "both") -> None:
    create(store, run)
    record(store, run, sample_plan(DEVICE, SWEEP, DIGITS, FACE))


def record(store: Store, run: str, plan: DevicePlan) -> None:
    save_plan(store, run, plan, save_snapshot(store, DEVICE, Facts(FACTS), STARTED_AT), WORKER_SHA256)


def rows(store: Store, statement: str) -> list[tuple[object, ...]]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_a_run_keeps_its_models_in_the_order_of_the_sweep(store: Store) -> None:
    create(store)
    record = store.runs.find_run("both")
    assert record is not None
    assert [model.name for model in record.header.models] == ["digits", "face"]
    assert record.header.model_words == "digits, face"
    assert rows(store, "SELECT position, directory FROM run_model ORDER BY position") == [
        (0, "/models/digits"),
        (1, "/models/face"),
    ]


def test_a_list_finds_the_run_by_any_of_its_models(store: Store) -> None:
    create(store)
    store.runs.create_run(sample_header("one", SWEEP, DIGITS, STARTED_AT + timedelta(hours=1)), DIGITS, [DEVICE])
    url = store.database.url.render_as_string(hide_password=False)

    def listed(model: str) -> list[tuple[str, str]]:
        return [(one.run, one.model_words) for one in list_runs(url, 10, RunFilter(model=model))]

    assert listed("face") == [("both", "digits, face")]
    assert listed("d*") == [("one", "digits"), ("both", "digits, face")]
    assert listed("hand") == []


def test_cells_belong_to_the_series_of_their_model(store: Store) -> None:
    planned(store)
    assert [(one.cell.model, one.cell.variant) for one in store.results.cell_results("both", "latency_ns")] == [
        ("digits", "fp32"),
        ("digits", "int8"),
        ("face", "fp32"),
        ("face", "fp16"),
    ]
    # The series of a run of one model go on.
    store.runs.create_run(sample_header("one", SWEEP, DIGITS), DIGITS, [DEVICE])
    record(store, "one", sample_plan(DEVICE, replace(SWEEP, models=()), DIGITS))
    shared = """SELECT series.variant FROM job JOIN series ON series.id = job.series_id
        GROUP BY series.id, series.variant HAVING count(*) = 2 ORDER BY series.variant"""
    assert rows(store, shared) == [("fp32",), ("int8",)]


def test_relatives_and_parents_stay_within_a_model(store: Store) -> None:
    planned(store)
    related = """SELECT model.name, job.label, parent.label FROM job
        JOIN model_variant ON model_variant.id = job.variant_id JOIN model ON model.id = model_variant.model_id
        JOIN job AS parent ON parent.id = job.parent_job_id"""
    ((model, job, parent),) = rows(store, related)
    assert (model, str(job)[:9], str(parent)[:9]) == ("face", "face/fp16", "face/fp32")
    parents = store.results.variant_parents("both")
    assert (parents["face", "fp16"], parents["digits", "int8"], len(parents)) == ("fp32", "fp16", 6)


def test_what_is_missing_is_told_for_each_model(store: Store) -> None:
    create(store, "unplanned")
    planned(store)
    counts = "SELECT run, model, count(*) FROM v_missing GROUP BY run, model ORDER BY run, model"
    assert rows(store, counts) == [
        ("both", "digits", 6),
        ("both", "face", 6),
        ("unplanned", "digits", 1),
        ("unplanned", "face", 1),
    ]


def test_a_deleted_run_leaves_no_model_behind(store: Store) -> None:
    planned(store)
    store.runs.set_device_state("both", DEVICE.name, DeviceRunState.COMPLETE)
    store.words.delete("both", "ann@ws1")
    assert rows(store, "SELECT count(*) FROM run_model") == [(0,)]
