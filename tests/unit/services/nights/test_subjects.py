"""What the database says of tonight's cells: the baseline of each, what has changed since, and what hinders a rerun."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.baseline import BaselineKind, NewBaseline
from orchestrator.domain.blob import BlobKind
from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Format, Model
from orchestrator.domain.night import Basis, NightCell, NightEstimate, NightVerdict
from orchestrator.domain.nightly import BaselineChoice, BaselineRule, MinEffects, Nightly
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.regression import Actor, Move, RegressionState
from orchestrator.services.nights.absent import absent
from orchestrator.services.nights.candidate import NightSweep
from orchestrator.services.nights.contents import PlannedCells
from orchestrator.services.nights.history import Past
from orchestrator.services.nights.regressions import RegressionKeeper
from orchestrator.services.nights.subjects import ACCURACY, Subjects
from orchestrator.services.nights.values import RunValues, TonightCell, first_cells
from orchestrator.specs.sweep import SweepFile
from orchestrator.store.store import Store
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
from tests.unit.services.nights.test_history import KEY, a_night

DEVICE = sample_device()
SWEEP = sample_sweep(variants=("int8",), trials=5)
METRIC = "latency_ns"
OTHER_WORKER = "f" * 64


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def a_model(cache: BlobCache, content: bytes) -> Model:
    model = sample_model()
    # Of the size that `sample_plan` gives the first artifact.
    blob = cache.add(content.ljust(21_000), BlobKind.MODEL, "digits-int8.tflite")
    artifact = Artifact(Format.TFLITE, "/models/digits/digits-int8.tflite", blob.sha256)
    return replace(model, variants={"int8": replace(model.variants["int8"], artifacts=(artifact,), parent=None)})


def measure(
    store: Store,
    run: str,
    model: Model,
    *,
    hours: int,
    worker: str = WORKER_SHA256,
    device: Device = DEVICE,
    **facts: object,
) -> None:
    begin = STARTED_AT + timedelta(hours=hours)
    store.runs.create_run(sample_header(run, SWEEP, model, begin), model, [device])
    plan = sample_plan(device, SWEEP, model)
    save_plan(store, run, plan, save_snapshot(store, device, Facts({**FACTS, **facts}), begin), worker)
    log = EventLog(run, plan, f"log-{run}", worker_sha256=worker).runner_started()
    for trial in plan.trials:
        log.started(trial.key)
        log.finished(trial.key, [number(METRIC, 1000.0 + trial.index)] if trial.kind is TrialKind.MEASURE else ())
    store.logs.ingest([log.run_finished().arrived()])


def subjects(store: Store, cache: BlobCache) -> tuple[Subjects, TonightCell]:
    """Return the maker of subjects, and the cell of the run `tonight`."""
    nightly = Nightly(
        "digits",
        "nightly.yaml",
        "/lab",
        ("a.yaml",),
        baseline=BaselineRule(BaselineChoice.PINNED),
        min_effects=(MinEffects(METRIC, 0.02, (("name=pi-*", 0.03),)),),
    )
    planned = PlannedCells(store, {})
    night_sweep = NightSweep(Path("a.yaml"), SweepFile(SWEEP, sample_model(), ""), {})
    (tonight,) = first_cells(store, planned, [(0, night_sweep, "tonight")], [METRIC]).values()
    levels = tuple(store.baselines.levels("digits"))
    return Subjects(nightly, STARTED_AT, Past((), ()), levels, planned, RunValues(store), cache), tonight


def pin(store: Store) -> None:
    store.baselines.record(NewBaseline("digits", "before", BaselineKind.PINNED, "ann@ws1", "release 2.3"))


def test_a_pinned_run_is_the_baseline_of_its_cells(store: Store, cache: BlobCache) -> None:
    measure(store, "before", a_model(cache, b"old"), hours=0)
    measure(store, "tonight", a_model(cache, b"new"), hours=1)
    pin(store)
    maker, tonight = subjects(store, cache)

    subject = maker.subject(tonight, METRIC, DEVICE)

    assert subject.baseline is not None
    assert (subject.baseline.run, subject.baseline.identical, subject.baseline.obstacle) == ("before", False, None)
    assert subject.baseline.trials == tuple(math.log(1000.0 + index) for index in range(1, 6))
    assert (subject.min_effect, subject.worse, subject.environment) == (0.03, 1, None)


def test_nothing_pinned_is_no_baseline(store: Store, cache: BlobCache) -> None:
    measure(store, "before", a_model(cache, b"old"), hours=0)
    measure(store, "tonight", a_model(cache, b"new"), hours=1)
    maker, tonight = subjects(store, cache)
    assert maker.subject(tonight, METRIC, DEVICE).baseline is None


def test_identical_bytes_and_what_changed_around_them_are_seen(store: Store, cache: BlobCache) -> None:
    measure(store, "before", a_model(cache, b"same"), hours=0)
    # After the end of the first run, which has the date of this test.
    measure(store, "tonight", a_model(cache, b"same"), hours=50_000, kernel="6.6.31", worker=OTHER_WORKER)
    pin(store)
    maker, tonight = subjects(store, cache)

    subject = maker.subject(tonight, METRIC, DEVICE)

    assert subject.baseline is not None
    assert subject.baseline.identical
    assert subject.environment is not None
    assert "kernel 6.6.20 -> 6.6.31" in subject.environment
    assert f"worker {WORKER_SHA256[:12]} -> {OTHER_WORKER[:12]}" in subject.environment


def test_a_baseline_whose_bytes_are_gone_cannot_be_rerun(store: Store, cache: BlobCache, tmp_path: Path) -> None:
    measure(store, "before", a_model(BlobCache(tmp_path / "another"), b"lost"), hours=0)
    measure(store, "tonight", a_model(cache, b"new"), hours=1)
    pin(store)
    maker, tonight = subjects(store, cache)

    subject = maker.subject(tonight, METRIC, DEVICE)

    assert subject.baseline is not None
    assert subject.baseline.obstacle is not None
    assert "digits-int8.tflite" in subject.baseline.obstacle
    assert "no longer in the controller's cache" in subject.baseline.obstacle


def test_a_night_that_finds_more_than_was_acknowledged_asks_a_person_again(store: Store, cache: BlobCache) -> None:
    measure(store, "tonight", a_model(cache, b"new"), hours=1)
    _, tonight = subjects(store, cache)
    cell = NightCell(tonight.cell, METRIC, SWEEP.name, tonight.key.slot, NightVerdict.CONFIRMED, "why")
    nights = ("digits-1", "digits-2", "digits-3")
    for night in nights:
        store.nights.begin_night(night, "digits")
    keepers = [RegressionKeeper(store.regressions, "digits", night, "ann@ws1") for night in nights]
    first = keepers[0].keep(cell, tonight.series)
    assert first.regression is not None
    acknowledged = Move(RegressionState.ACKNOWLEDGED, Actor.PERSON, "bob@ws2", "known")
    store.regressions.move(first.regression, acknowledged)

    keepers[1].keep(first, tonight.series)
    assert [one.state for one in store.regressions.regressions()] == [RegressionState.ACKNOWLEDGED]

    estimate = NightEstimate(Basis.RERUN, 1.5)
    keepers[2].keep(replace(first, reason="worse", estimate=estimate), tonight.series, reopens=True)
    (again,) = store.regressions.regressions()
    assert (again.state, again.confirmed_night) == (RegressionState.CONFIRMED, "digits-1")
    assert again.figures is not None
    assert again.figures.ratio == 1.5
    assert store.regressions.events(again.id)[-1].night == "digits-3"


def test_a_cell_that_the_device_is_not_asked_to_run_has_its_pinned_value_missing(
    store: Store, cache: BlobCache
) -> None:
    measure(store, "before", a_model(cache, b"old"), hours=0)
    measure(store, "tonight", a_model(cache, b"new"), hours=1)
    pin(store)
    maker, tonight = subjects(store, cache)
    newer = replace(tonight.cell, runtime=f"{tonight.cell.runtime.partition('==')[0]}==99.0")
    left_out = replace(tonight, cell=newer, job=None, results={}, absent="no bundle for its Python")

    subject = maker.subject(left_out, METRIC, DEVICE)

    assert subject.baseline is not None
    assert subject.baseline.run == "before"
    assert absent(subject, left_out, METRIC, None).verdict is NightVerdict.MISSING
    other = replace(left_out, cell=replace(newer, variant="fp16"))
    assert absent(maker.subject(other, METRIC, DEVICE), other, METRIC, None).verdict is NightVerdict.INCONCLUSIVE


def test_an_accepted_run_of_another_device_takes_no_history_from_a_cell(store: Store, cache: BlobCache) -> None:
    model = a_model(cache, b"new")
    measure(store, "tonight", model, hours=1)
    measure(store, "elsewhere", model, hours=50_000, device=sample_device("nano-01"))
    measure(store, "here", model, hours=60_000)
    nights = [a_night(number) for number in range(3)]
    values = []
    for run in ("elsewhere", "here"):
        store.baselines.record(NewBaseline("digits", run, BaselineKind.ACCEPTED, "ann@ws1", "a new fan"))
        maker, tonight = subjects(store, cache)
        maker = replace(maker, past=Past(list(reversed(nights)), ()))
        values.append(maker.segment(KEY, tonight.series).values)
    assert values == [(0.0, 1.0, 2.0), ()]


def test_an_accepted_accuracy_is_the_level_beside_a_pinned_run(store: Store, cache: BlobCache) -> None:
    """A person who took a fall in accuracy as it is hears of that fall no more."""
    for hours, run in enumerate(("before", "fallen", "tonight")):
        measure(store, run, a_model(cache, run.encode()), hours=hours)
    pin(store)
    _, tonight = subjects(store, cache)
    assert tonight.series is not None
    accepted = NewBaseline("digits", "fallen", BaselineKind.ACCEPTED, "ann@ws1", "smaller", (tonight.series,), ACCURACY)
    store.baselines.record(accepted)
    maker, tonight = subjects(store, cache)

    of_accuracy, of_latency = maker.accuracy(tonight, ACCURACY), maker.subject(tonight, METRIC, DEVICE)

    assert of_accuracy.baseline is not None
    assert of_latency.baseline is not None
    assert (of_accuracy.baseline.run, of_latency.baseline.run) == ("fallen", "before")
