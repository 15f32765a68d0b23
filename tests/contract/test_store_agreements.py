"""The agreement of variants with their parents is in SQL, whichever preflight is stored first, and however often."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    number,
    outputs,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

PI, MODEL = sample_device("pi-03"), sample_model()
FIGURES = text(
    "SELECT variant, metric, value, unit, better FROM v_latest WHERE metric LIKE 'agreement%' ORDER BY variant, metric"
)
ABSENT = text(
    """
SELECT model_variant.name, absent_metric.metric, absent_metric.reason
FROM absent_metric
JOIN attempt ON attempt.id = absent_metric.attempt_id
JOIN trial ON trial.id = attempt.trial_id
JOIN job ON job.id = trial.job_id
JOIN model_variant ON model_variant.id = job.variant_id
WHERE absent_metric.metric LIKE 'agreement%'
ORDER BY 1, 2
"""
)
STATED = "sweep: s\nmodel: m\nruntimes: [tflite-runtime==2.14.0]\nagreement: {absolute: 0.5, relative: 0}\n"
PARENT, CHILD = outputs([[1.0, 2.0], [3.0, 4.0]]), outputs([[1.0, 2.4], [4.0, 3.0]])


Tell = Callable[..., None]


def rows(store: Store, statement: Any) -> list[tuple[Any, ...]]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def run_of(store: Store, variants: Sequence[str], document: str | None = None) -> Tell:
    """Begin a run, and return a function that tells the outputs of preflights, one transaction a call."""
    sweep = sample_sweep(variants=variants)
    header = sample_header("run", sweep, MODEL)
    plan = sample_plan(PI, sweep, MODEL)
    if document is not None:
        header = replace(header, sweep_document=document)
    store.runs.create_run(header, MODEL, [PI])
    save_plan(store, "run", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog("run", plan).runner_started()
    preflights = {trial.job: trial.key for trial in plan.trials if trial.kind is TrialKind.PREFLIGHT}
    trials = {job.variant: preflights[job.key] for job in plan.jobs}

    def tell(**told: dict[str, Any] | None) -> None:
        for variant, kept in told.items():
            log.started(trials[variant]).finished(trials[variant], [number("rss_bytes_max", 1e6)], outputs=kept)
        store.logs.ingest([log.arrived()])

    return tell


EXPECTED = [
    ("fp16", "agreement_argmax", 0.5, "ratio", "higher"),
    ("fp16", "agreement_cosine", pytest.approx((5.8 / math.sqrt(5 * 6.76) + 0.96) / 2), "1", "higher"),
    ("fp16", "agreement_max_abs", pytest.approx(1.0), "1", "lower"),
    ("fp16", "agreement_within_tolerance", 0.25, "ratio", "higher"),
]


@pytest.mark.parametrize("order", [("fp32", "fp16"), ("fp16", "fp32"), None])
def test_a_variant_is_compared_with_its_parent_once_both_are_stored(
    store: Store, order: tuple[str, str] | None
) -> None:
    tell = run_of(store, ("fp32", "fp16"))
    told = {"fp32": PARENT, "fp16": CHILD}
    if order is None:
        tell(**told)
    else:
        tell(**{order[0]: told[order[0]]})
        tell(**{order[1]: told[order[1]]})
    assert rows(store, FIGURES) == EXPECTED
    assert rows(store, ABSENT) == []


def test_until_the_parent_is_there_the_reason_is_and_a_parent_outside_of_the_plan_is_named(store: Store) -> None:
    tell = run_of(store, ("fp32", "fp16"))
    tell(fp16=CHILD)
    assert {row[2] for row in rows(store, ABSENT)} == {"the preflight of the parent fp32 has no outputs"}
    tell(fp32={**outputs([[0.0]]), "count": 0, "data": "", "reason": "strings"})
    assert {row[2] for row in rows(store, ABSENT)} == {"fp32: strings"}
    assert rows(store, FIGURES) == []


def test_a_variant_without_its_parent_in_the_plan_says_so(store: Store) -> None:
    run_of(store, ("fp16",))(fp16=CHILD)
    words = "the plan has no cell of the parent fp32 on this runtime with these settings"
    assert {row[2] for row in rows(store, ABSENT)} == {words}


def test_the_tolerance_is_the_sweep_s(store: Store) -> None:
    run_of(store, ("fp32", "fp16"), STATED)(fp32=PARENT, fp16=CHILD)
    assert {row[1]: row[2] for row in rows(store, FIGURES)}["agreement_within_tolerance"] == 0.5


def test_all_pairs_are_written_in_one_statement_a_table(store: Store) -> None:
    tell = run_of(store, ("fp32", "fp16", "int8"))
    said: list[str] = []

    def note(*arguments: Any) -> None:
        said.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        tell(fp32=PARENT, fp16=CHILD, int8=CHILD)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len([one for one in said if one.startswith("DELETE FROM measurement")]) == 1
    assert {row[0] for row in rows(store, FIGURES)} == {"fp16", "int8"}


def test_without_a_readable_tolerance_there_is_no_figure(store: Store) -> None:
    unreadable = STATED.replace("0.5", "a lot")
    run_of(store, ("fp32", "fp16"), unreadable)(fp32=PARENT, fp16=CHILD)
    assert rows(store, FIGURES) == []
    words = "the tolerance of agreement cannot be read in the recorded sweep"
    assert [row[2] for row in rows(store, ABSENT)] == [words] * 4


def test_nan_spoils_distances_and_is_no_agreement(store: Store) -> None:
    run_of(store, ("fp32", "fp16"))(fp32=PARENT, fp16=outputs([[1.0, math.nan], [3.0, 4.0]]))
    found = {row[1]: row[2] for row in rows(store, FIGURES)}
    assert found == {"agreement_argmax": 0.5, "agreement_within_tolerance": 0.75}
    assert {row[1]: row[2] for row in rows(store, ABSENT)} == {
        "agreement_cosine": "1 of 4 values are NaN",
        "agreement_max_abs": "1 of 4 values are NaN",
    }


def test_every_metric_is_in_a_table_with_unit_and_better_direction(store: Store) -> None:
    tell = run_of(store, ("fp32", "fp16"))
    tell(fp32=PARENT, fp16=CHILD)
    known = rows(store, text("SELECT name, unit, better, min_effect FROM metric ORDER BY name"))
    assert ("agreement_cosine", "1", "higher", 0.01) in known
    assert ("rss_bytes_max", "bytes", "lower", 0.01) in known
    for view in ("v_cell", "v_history", "v_latest", "v_variant_compare"):
        found = rows(store, text(f"SELECT DISTINCT metric, better FROM {view}"))
        assert dict(found) == {name: better for name, _, better, _ in known}, view
