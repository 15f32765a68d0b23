"""What every database keeps of baselines, nights, regressions and annotations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.annotation import Note
from orchestrator.domain.baseline import BaselineKind, NewBaseline, level_of, segment_began, whole_run
from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.night import NightRun, NightStage
from orchestrator.domain.regression import STANDING, Actor, Direction, Figures, Move, Suspicion
from orchestrator.domain.regression import RegressionState as State
from orchestrator.store.schema import tables
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.planned_runs import NANO, PI, rows
from tests.databases import Databases

ANN, BOB = "ann@ws1", "bob@ws2"
LATENCY = "latency_ns"
FIGURES = Figures(1.05, 1.041, 1.06, 20, 20)
RUNS = ("20260301-0100", "20260302-0100", "20260303-0100")


@pytest.fixture
def lab(store: Store) -> Store:
    """A store with three runs of two devices, and a night of each."""
    return filled(store)


def filled(store: Store) -> Store:
    model, sweep = sample_model(), sample_sweep(variants=("fp32", "int8"))
    for age, run in enumerate(RUNS):
        header = sample_header(run, sweep, model, STARTED_AT + timedelta(days=age))
        store.runs.create_run(header, model, [PI, NANO])
        for device in (PI, NANO):
            snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
            save_plan(store, run, sample_plan(device, sweep, model), snapshot, WORKER_SHA256)
        store.nights.begin_night(f"night-{age + 1}", "lab")
    return store


def series_of(store: Store) -> list[int]:
    """Return the series of the first run's cells."""
    found = [cell.series for cell in store.results.cell_results(RUNS[0], LATENCY)]
    assert len(found) == len(set(found)) == 4
    assert [cell.series for cell in store.results.cell_results(RUNS[1], LATENCY)] == found, "the same in every run"
    return [series for series in found if series is not None]


def pin(store: Store, run: str, kind: BaselineKind = BaselineKind.PINNED, **more: object) -> None:
    store.baselines.record(replace(NewBaseline("lab", run, kind, ANN, "wanted"), **more))  # type: ignore[arg-type]


def suspicion(series: int, **more: object) -> Suspicion:
    plain = Suspicion("lab", "night-2", series, LATENCY, Direction.ROSE, RUNS[1], RUNS[0], FIGURES)
    return replace(plain, **more)  # type: ignore[arg-type]


def by_night(to: State, night: str = "night-2", **more: object) -> Move:
    return replace(Move(to, Actor.NIGHT, ANN, "by its rerun", night), **more)  # type: ignore[arg-type]


def by_person(to: State, reason: str = "wanted") -> Move:
    return Move(to, Actor.PERSON, BOB, reason)


def confirmed(store: Store, series: int, **more: object) -> int:
    found = store.regressions.suspect(suspicion(series, **more), ANN)
    return store.regressions.move(found.id, by_night(State.CONFIRMED, figures=FIGURES)).id


# baselines


def test_a_pinned_run_is_the_level_of_every_cell(lab: Store) -> None:
    (made,) = lab.baselines.record(NewBaseline("lab", RUNS[0], BaselineKind.PINNED, ANN, "1.0\x1b[2J released"))
    assert (made.name, made.run, made.kind, made.pinned_by) == ("lab", RUNS[0], BaselineKind.PINNED, ANN)
    assert (made.reason, made.run_started_at, made.superseded_at) == ("1.0[2J released", STARTED_AT, None)
    assert lab.baselines.levels("lab") == [made]
    assert lab.baselines.levels("other") == []
    assert all(level_of([made], series, LATENCY) == made for series in series_of(lab))
    assert segment_began([made], series_of(lab)[0], LATENCY) is None, "a pin says nothing about the level's history"


def test_another_pin_supersedes_and_the_first_stays_on_record(lab: Store) -> None:
    pin(lab, RUNS[0])
    pin(lab, RUNS[1], name="other")
    pin(lab, RUNS[2])
    first, second = lab.baselines.levels("lab")
    assert (first.run, second.run) == (RUNS[0], RUNS[2])
    assert first.superseded_at == second.pinned_at
    assert second.superseded_at is None
    assert [one.run for one in lab.baselines.present_levels()] == [RUNS[1], RUNS[2]]


def test_an_accepted_level_covers_its_series_and_metric_alone_and_begins_a_segment(lab: Store) -> None:
    one, other = series_of(lab)[:2]
    pin(lab, RUNS[0])
    pin(lab, RUNS[1], BaselineKind.ACCEPTED, series=(one,), metric=LATENCY)
    levels = lab.baselines.levels("lab")
    chosen = {
        (series, metric): level_of(levels, series, metric)
        for series in (one, other)
        for metric in (LATENCY, "size_bytes")
    }
    assert {key: level and level.run for key, level in chosen.items()} == {
        (one, LATENCY): RUNS[1],
        (one, "size_bytes"): RUNS[0],
        (other, LATENCY): RUNS[0],
        (other, "size_bytes"): RUNS[0],
    }
    whole = whole_run(levels)
    assert whole is not None
    assert whole.run == RUNS[0]
    assert segment_began(levels, one, LATENCY) == STARTED_AT + timedelta(days=1)
    assert segment_began(levels, other, LATENCY) is None
    pin(lab, RUNS[2])
    levels = lab.baselines.levels("lab")
    again = level_of(levels, one, LATENCY)
    assert again is not None
    assert again.run == RUNS[2], "a pin of a whole run covers what was accepted"
    assert segment_began(levels, one, LATENCY) == STARTED_AT + timedelta(days=1), "the level changed all the same"


@pytest.mark.parametrize("kind", BaselineKind)
def test_a_whole_run_takes_no_level_from_the_cells_of_another_device(lab: Store, kind: BaselineKind) -> None:
    model, sweep, run = sample_model(), sample_sweep(variants=("fp32", "int8")), "20260304-0100"
    lab.runs.create_run(sample_header(run, sweep, model, STARTED_AT + timedelta(days=4)), model, [NANO])
    snapshot = save_snapshot(lab, NANO, Facts(FACTS), STARTED_AT)
    save_plan(lab, run, sample_plan(NANO, sweep, model), snapshot, WORKER_SHA256)
    new = {cell.series for cell in lab.results.cell_results(run, LATENCY)}
    one, other = (series for series in series_of(lab) if series not in new)
    pin(lab, RUNS[0])
    pin(lab, RUNS[1], series=(one,))

    pin(lab, run, kind)

    levels = lab.baselines.levels("lab")
    chosen = {series: level_of(levels, series, LATENCY) for series in (one, other)}
    assert {series: level and level.run for series, level in chosen.items()} == {one: RUNS[1], other: RUNS[0]}
    of_new = [level_of(levels, series, LATENCY) for series in new if series is not None]
    assert [level and level.run for level in of_new] == [run, run]


def test_accepting_a_level_accepts_the_standing_regressions_of_its_series(lab: Store) -> None:
    one, other, third = series_of(lab)[:3]
    known, left = confirmed(lab, one), confirmed(lab, other)
    suspected = lab.regressions.suspect(suspicion(third), ANN).id
    elsewhere = confirmed(lab, one, nightly="other")
    pin(lab, RUNS[1], BaselineKind.ACCEPTED, series=(one,), metric="size_bytes")
    assert state(lab, known) is State.CONFIRMED, "another metric"
    pin(lab, RUNS[1], BaselineKind.ACCEPTED, series=(one, third))
    assert [state(lab, one) for one in (known, left, suspected, elsewhere)] == [
        State.ACCEPTED,
        State.CONFIRMED,
        State.DETECTED,
        State.CONFIRMED,
    ]
    pin(lab, RUNS[1])
    assert state(lab, left) is State.CONFIRMED, "a pin accepts nothing"


def state(store: Store, regression: int) -> State:
    found = store.regressions.find_regression(regression)
    assert found is not None
    return found.state


def test_a_baseline_of_an_unknown_run_is_refused_and_nothing_of_it_stays(lab: Store) -> None:
    pin(lab, RUNS[0])
    with pytest.raises(StoreError):
        pin(lab, "20990101-0000")
    assert [(one.run, one.superseded_at) for one in lab.baselines.levels("lab")] == [(RUNS[0], None)]


# nights


def test_a_night_has_its_runs_and_its_end(lab: Store) -> None:
    looks = [
        NightRun(NightStage.FIRST_LOOK, "digits", RUNS[0]),
        NightRun(NightStage.CONFIRMATION, "digits", "later", 2),
    ]
    for run in (*looks, looks[0]):
        lab.nights.add_run("night-1", run)
    night = lab.nights.find_night("night-1")
    assert night is not None
    assert (night.nightly, night.ended_at, night.exit_code, night.report) == ("lab", None, None, None)
    assert night.runs == tuple(looks), "each once, also before it is on record"
    assert night.of_stage(NightStage.CONFIRMATION) == (looks[1],)
    ended = lab.nights.end_night("night-1", 1, {"cells": [{"value": 1.5}], "none": None})
    assert (ended.exit_code, ended.report, ended.runs) == (1, {"cells": [{"value": 1.5}], "none": None}, night.runs)
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.began_at
    assert lab.nights.find_night("night-1") == ended


def test_nights_are_found_as_runs_are(lab: Store) -> None:
    lab.nights.begin_night("other-1", "other")
    newest = lab.nights.find_night("last")
    assert newest is not None
    assert newest.id == "other-1"
    assert [one.id for one in lab.nights.nights()] == ["other-1", "night-3", "night-2", "night-1"]
    assert [one.id for one in lab.nights.nights("lab", 2)] == ["night-3", "night-2"]
    found = lab.nights.find_night("o")
    assert found is not None
    assert found.id == "other-1"
    assert lab.nights.find_night("%") is None
    assert lab.nights.find_night("") is None
    with pytest.raises(ConfigError, match="several nights begin with 'night-'"):
        lab.nights.find_night("night-")


def test_no_night_begins_twice_and_none_ends_that_never_began(lab: Store) -> None:
    with pytest.raises(StoreError, match="there is a night night-1 already"):
        lab.nights.begin_night("night-1", "lab")
    with pytest.raises(StoreError, match="there is no night unheard-of"):
        lab.nights.end_night("unheard-of", 0, {})


# regressions


def test_a_regression_lives_from_a_suspicion_to_its_end(lab: Store) -> None:
    series = series_of(lab)[0]
    found = lab.regressions.suspect(suspicion(series, baseline_run=None, figures=None), ANN, "z 3.1")
    assert (found.state, found.figures, found.baseline_run) == (State.DETECTED, None, None)
    assert (found.series.id, found.series.device, found.series.model) == (series, "pi-03", "digits")
    move = by_night(State.CONFIRMED, figures=FIGURES, baseline_run=RUNS[0])
    after = lab.regressions.move(found.id, move)
    assert (after.state, after.figures, after.baseline_run) == (State.CONFIRMED, FIGURES, RUNS[0])
    assert (after.first_night, after.confirmed_night, after.candidate_run) == ("night-2", "night-2", RUNS[1])
    assert lab.regressions.move(found.id, move) == after, "a night that resumes confirms again"
    lab.regressions.move(found.id, by_person(State.ACKNOWLEDGED, "on it\x07"))
    lab.regressions.move(found.id, by_night(State.FIXED, "night-3"))
    assert [(one.state, one.who, one.reason, one.night) for one in lab.regressions.events(found.id)] == [
        (State.DETECTED, ANN, "z 3.1", "night-2"),
        (State.CONFIRMED, ANN, "by its rerun", "night-2"),
        (State.ACKNOWLEDGED, BOB, "on it", None),
        (State.FIXED, ANN, "by its rerun", "night-3"),
    ]
    assert lab.regressions.find_regression(found.id) == replace(after, state=State.FIXED)
    assert lab.regressions.find_regression(999) is None


def test_one_series_has_one_open_regression_of_a_metric_and_direction(lab: Store) -> None:
    one, other = series_of(lab)[:2]
    first = lab.regressions.suspect(suspicion(one), ANN)
    again = lab.regressions.suspect(suspicion(one, night="night-3", candidate_run=RUNS[2]), BOB)
    assert again == first, "the first night stays"
    others = [
        lab.regressions.suspect(suspicion(other), ANN),
        lab.regressions.suspect(suspicion(one, metric="size_bytes"), ANN),
        lab.regressions.suspect(suspicion(one, direction=Direction.FELL), ANN),
        lab.regressions.suspect(suspicion(one, nightly="other"), ANN),
    ]
    assert len({found.id for found in (first, *others)}) == 5
    lab.regressions.move(first.id, by_night(State.DISMISSED))
    assert lab.regressions.suspect(suspicion(one, night="night-3"), ANN).id not in {first.id, *(o.id for o in others)}


def test_a_loss_keeps_no_ratio_of_the_suspicion_before(lab: Store) -> None:
    found = lab.regressions.suspect(suspicion(series_of(lab)[0]), ANN)
    assert found.figures == FIGURES
    lost = lab.regressions.move(found.id, by_night(State.CONFIRMED, figures=None))
    assert lost.figures is None
    assert lab.regressions.find_regression(found.id) == lost


def test_the_engine_itself_refuses_a_second_open_regression(lab: Store) -> None:
    lab.regressions.suspect(suspicion(series_of(lab)[0]), ANN)
    (kept,) = rows(lab, tables.regression)
    row = {key: value for key, value in kept._mapping.items() if key != "id"}
    with lab.database.write() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(tables.regression), row)


def test_two_controllers_that_suspect_at_once_have_one_regression(databases: Databases) -> None:
    url = databases.migrated()
    with open_store(url) as first:
        series = series_of(filled(first))[0]
    begin = Barrier(2)

    def suspect(who: str) -> int:
        with open_store(url) as store:
            begin.wait(30)
            return store.regressions.suspect(suspicion(series), who).id

    with ThreadPoolExecutor(2) as pool:
        ids = set(pool.map(suspect, (ANN, BOB)))
    assert len(ids) == 1
    with open_store(url) as store:
        assert len(store.regressions.events(ids.pop())) == 1


def test_accepting_a_run_accepts_no_regression_of_a_device_that_is_not_in_it(lab: Store) -> None:
    model, sweep, run = sample_model(), sample_sweep(variants=("fp32", "int8")), "20260304-0100"
    lab.runs.create_run(sample_header(run, sweep, model, STARTED_AT + timedelta(days=4)), model, [NANO])
    snapshot = save_snapshot(lab, NANO, Facts(FACTS), STARTED_AT)
    save_plan(lab, run, sample_plan(NANO, sweep, model), snapshot, WORKER_SHA256)
    regressions = {confirmed(lab, series): series for series in series_of(lab)}

    pin(lab, run, BaselineKind.ACCEPTED)

    in_run = {cell.series for cell in lab.results.cell_results(run, LATENCY)}
    assert len(in_run) == 2
    for regression, series in regressions.items():
        assert state(lab, regression) is (State.ACCEPTED if series in in_run else State.CONFIRMED)


def test_accepting_a_regression_makes_the_candidate_the_level(lab: Store) -> None:
    one, other = series_of(lab)[:2]
    pin(lab, RUNS[0])
    regression = confirmed(lab, one)
    for _ in range(2):
        after = lab.regressions.move(regression, by_person(State.ACCEPTED, "more accurate, and worth it"))
        assert after.state is State.ACCEPTED
    levels = lab.baselines.levels("lab")
    assert len(levels) == 2, "accepting twice is accepting once"
    level = level_of(levels, one, LATENCY)
    assert level is not None
    assert (level.run, level.kind, level.pinned_by) == (RUNS[1], BaselineKind.ACCEPTED, BOB)
    assert level.reason == "more accurate, and worth it"
    assert segment_began(levels, one, LATENCY) == STARTED_AT + timedelta(days=1)
    elsewhere = level_of(levels, other, LATENCY)
    assert elsewhere is not None
    assert elsewhere.run == RUNS[0]


def test_a_move_against_the_rules_changes_nothing(lab: Store) -> None:
    regression = lab.regressions.suspect(suspicion(series_of(lab)[0]), ANN).id
    with pytest.raises(ConfigError, match=f"regression {regression} is detected: a person cannot make it accepted"):
        lab.regressions.move(regression, by_person(State.ACCEPTED))
    assert state(lab, regression) is State.DETECTED
    assert lab.baselines.levels("lab") == []
    assert len(lab.regressions.events(regression)) == 1
    with pytest.raises(ConfigError, match="there is no regression 999"):
        lab.regressions.move(999, by_person(State.ACCEPTED))


def test_regressions_are_listed_by_nightly_and_state_newest_first(lab: Store) -> None:
    one, other = series_of(lab)[:2]
    first, second = confirmed(lab, one), confirmed(lab, other)
    third = confirmed(lab, one, nightly="other")
    lab.regressions.move(first, by_person(State.INVALID))
    assert [found.id for found in lab.regressions.regressions()] == [third, second, first]
    assert [found.id for found in lab.regressions.regressions("lab")] == [second, first]
    assert [found.id for found in lab.regressions.regressions(states=STANDING)] == [third, second]
    assert lab.regressions.regressions(states=()) == []


def test_the_view_shows_what_is_confirmed_and_not_over(lab: Store) -> None:
    one, other, third = series_of(lab)[:3]
    over = confirmed(lab, one)
    lab.regressions.move(over, by_person(State.INVALID))
    lab.regressions.suspect(suspicion(third), ANN)
    standing = confirmed(lab, other)
    lab.regressions.move(standing, by_person(State.ACKNOWLEDGED))
    with lab.database.read() as connection:
        (row,) = connection.execute(text("SELECT * FROM v_open_regressions")).all()
    assert (row.regression, row.nightly, row.state, row.device) == (standing, "lab", "acknowledged", "pi-03")
    assert (row.metric, row.direction, row.ratio, row.ratio_low, row.ratio_high) == (LATENCY, "rose", 1.05, 1.041, 1.06)
    assert (row.baseline_run, row.candidate_run) == (RUNS[0], RUNS[1])
    assert (row.first_night, row.confirmed_night, row.series_id) == ("night-2", "night-2", other)
    assert row.first_night_began_at == row.confirmed_night_began_at


# annotations


def test_annotations_say_what_they_are_about(lab: Store) -> None:
    series = series_of(lab)[0]
    day, later = date(2026, 3, 1), date(2026, 3, 4)
    lab.annotations.annotate(Note(later, later, "new kernel", ANN, run=RUNS[2]))
    of_device = lab.annotations.annotate(Note(day, later, "no fan\x1b[2J", ANN, device="pi-03"))
    of_series = lab.annotations.annotate(Note(day, day, "odd", BOB, series=series))
    assert (of_device.text, of_device.device, of_device.series, of_device.who) == ("no fan[2J", "pi-03", None, ANN)
    assert (of_series.series and of_series.series.id, of_series.device) == (series, "pi-03")
    assert datetime.now(UTC) - of_device.at < timedelta(minutes=5)
    assert [one.text for one in lab.annotations.annotations()] == ["no fan[2J", "odd", "new kernel"]
    assert [one.text for one in lab.annotations.annotations(date(2026, 3, 2), date(2026, 3, 3))] == ["no fan[2J"]
    assert [one.text for one in lab.annotations.annotations(first_day=date(2026, 3, 5))] == []
    assert lab.annotations.annotations(last_day=later)[-1].run == RUNS[2]


def test_no_annotation_names_a_device_that_nobody_has_seen(lab: Store) -> None:
    with pytest.raises(ConfigError, match="pi-99: this database has never seen a device of that name"):
        lab.annotations.annotate(Note(date(2026, 3, 1), date(2026, 3, 1), "?", ANN, device="pi-99"))


def test_the_device_time_of_a_run_is_that_of_its_attempts(lab: Store) -> None:
    plan = sample_plan(PI, sample_sweep(variants=("fp32", "int8")), sample_model())
    first, second, *_ = (trial.key for trial in plan.trials if trial.index)
    log = EventLog(RUNS[0], plan).runner_started().started(first).finished(first)
    # What failed has taken the device's time too.
    log.started(second).failed(second)
    lab.logs.ingest([log.arrived()])

    assert lab.nights.device_time_s(RUNS[0]) == pytest.approx(3.0)
    assert lab.nights.device_time_s(RUNS[1]) == 0.0
    assert lab.nights.device_time_s("no-such-run") == 0.0
