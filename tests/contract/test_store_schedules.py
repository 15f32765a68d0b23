"""Schedules on every database: each moment submits one run, whoever fires, and whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.run_words import Commit, NewWords
from orchestrator.domain.schedule import Missed, NewSchedule, Overlap, Rhythm, Schedule
from orchestrator.domain.submission import Submission, SubmissionState
from orchestrator.services.queue.firing import Firer, firing_of
from orchestrator.store.store import Store
from tests.contract.queue_rows import ANN, FILE, Clock, begun, claimed, stored_file
from tests.contract.queue_rows import NEW as SUBMITTED

BERLIN = "Europe/Berlin"
DAILY = Rhythm("30 2 * * *", BERLIN)
WORDS = NewWords(ANN, "nights", "why", {"branch": "main"}, Commit("a" * 40, True))
NEW = NewSchedule(
    "nights",
    ANN,
    DAILY,
    "one",
    "/lab/one.yaml",
    "pi-*",
    3,
    (FILE,),
    WORDS,
    {"pi-03": 4.5},
    {"missing": True},
    "nightly",
)


def added(store: Store, name: str = "nights", rhythm: Rhythm = DAILY, *, replaces: bool = False) -> Schedule:
    stored_file(store)
    new = replace(NEW, name=name, rhythm=rhythm, words=replace(WORDS, name=name))
    return store.schedules.add_schedule(new, replaces=replaces)


def fire(store: Store) -> list[str]:
    """Let a daemon look once, and return what it says."""
    said: list[str] = []
    Firer(store, said.append).fire_due()
    return said


def submitted(store: Store) -> list[Submission]:
    return list(store.submissions.open_submissions())


def found(store: Store, name: str = "nights") -> Schedule:
    one = store.schedules.find_schedule(name)
    assert one is not None
    return one


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def end(store: Store, one: Submission) -> None:
    store.daemons.finish(claimed(store, one, begun(store)), SubmissionState.ENDED)


def test_a_schedule_keeps_what_was_asked(store: Store, clock: Clock) -> None:
    made = added(store)
    assert store.schedules.schedules() == [made]
    assert found(store) == made
    assert (made.rhythm, made.select, made.priority, made.words, made.settings) == (
        DAILY,
        "pi-*",
        3,
        WORDS,
        NEW.settings,
    )
    assert (made.added_at, made.due_at, made.fires_at) == (clock.now, at("2026-12-01T01:30"), at("2026-12-01T01:30"))
    assert (made.is_paused, made.fired_at, made.last, made.window) == (False, None, None, "nightly")
    assert store.schedules.find_schedule("other") is None
    with pytest.raises(ConfigError, match="there is a schedule nights already"):
        added(store)


def test_a_firing_submits_what_was_scheduled_and_moves_on(store: Store, clock: Clock) -> None:
    added(store)
    assert (fire(store), submitted(store)) == ([], [])
    clock.now = at("2026-12-01T01:30")
    (said,) = fire(store)
    (one,) = submitted(store)
    assert said == f"schedule nights: {one.run}"
    assert (one.holder, one.sweep, one.select, one.priority, one.words) == (ANN, "one", "pi-*", 3, WORDS)
    assert (one.schedule, one.device_s, one.settings) == ("nights", {"pi-03": 4.5}, {"missing": True})
    assert (one.submitted_at, one.window) == (clock.now, "nightly")
    assert store.submissions.files_of(one.id) == [FILE]
    then = found(store)
    assert (then.due_at, then.fired_at, then.last) == (at("2026-12-02T01:30"), clock.now, one.run)
    assert fire(store) == []


def test_expected_times_are_those_of_the_present_sweep(store: Store, clock: Clock) -> None:
    """Another sweep had the name before the schedule was replaced."""

    def next_expects(moment: str) -> Mapping[str, float | None] | None:
        clock.now = at(moment)
        fire(store)
        (one,) = submitted(store)
        store.submissions.expect({one.id: {"pi-04": 9.0}})
        end(store, one)
        return one.device_s

    added(store)
    assert next_expects("2026-12-01T01:30") == {"pi-03": 4.5}
    assert next_expects("2026-12-02T01:30") == {"pi-04": 9.0}
    added(store, replaces=True)
    assert next_expects("2026-12-03T01:30") == {"pi-03": 4.5}
    assert next_expects("2026-12-04T01:30") == {"pi-04": 9.0}


def test_the_nights_in_which_clocks_are_changed_have_one_run_each(store: Store, clock: Clock) -> None:
    """2:30 is left out on 29 March 2026, and comes twice on 25 October."""
    for begin in ("2026-03-27T12:00", "2026-10-23T12:00"):
        clock.now = at(begin)
        added(store, replaces=True)
        for day in range(4):
            before = len(submitted(store))
            # A daemon that looks every ten minutes, for a day.
            for _ in range(144):
                clock.go_on(600)
                fire(store)
            for one in submitted(store)[before:]:
                end(store, one)
            over = store.submissions.newest_over(100)
            assert len([one for one in over if one.submitted_at > at(begin)]) == day + 1


def test_a_clock_that_is_set_back_over_the_moment_fires_once(store: Store, clock: Clock) -> None:
    added(store, rhythm=replace(DAILY, overlap=Overlap.QUEUE))
    clock.now = at("2026-12-01T01:30")
    assert len(fire(store)) == 1
    clock.now = at("2026-12-01T01:00")
    for _ in range(12):
        assert fire(store) == []
        clock.go_on(600)
    # Also for whoever pauses and resumes in between.
    clock.now = at("2026-12-01T01:00")
    store.schedules.pause_schedule("nights")
    assert store.schedules.resume_schedule("nights").due_at == at("2026-12-02T01:30")
    clock.now = at("2026-12-01T01:30")
    assert fire(store) == []


def test_a_clock_that_is_set_back_between_reading_and_firing(store: Store, clock: Clock) -> None:
    added(store)
    clock.now = at("2026-12-01T01:30")
    (due,) = store.schedules.due_schedules()
    firing = firing_of(due, clock.now)
    clock.now = at("2026-12-01T01:00")
    assert store.schedules.fire(firing) is None
    clock.now = at("2026-12-01T01:30")
    assert len(fire(store)) == 1


def test_of_two_daemons_one_fires(store: Store, clock: Clock) -> None:
    added(store, rhythm=Rhythm("* * * * *", "UTC", overlap=Overlap.QUEUE))
    for turn in range(10):
        clock.go_on(60)
        (due,) = store.schedules.due_schedules()
        barrier = Barrier(2)

        def one_fires(_: int, due: Schedule = due, barrier: Barrier = barrier) -> str | None:
            firing = firing_of(due, clock.now)
            barrier.wait(10)
            return store.schedules.fire(firing)

        with ThreadPoolExecutor(2) as threads:
            made = list(threads.map(one_fires, range(2)))
        assert sorted(answer is None for answer in made) == [False, True]
        assert len(submitted(store)) == turn + 1


@pytest.mark.parametrize("change", ["paused", "replaced", "removed"])
def test_a_schedule_that_is_changed_while_it_fires_does_not_fire(store: Store, clock: Clock, change: str) -> None:
    added(store)
    clock.now = at("2026-12-01T01:30")
    (due,) = store.schedules.due_schedules()
    firing = firing_of(due, clock.now)
    if change == "paused":
        store.schedules.pause_schedule("nights")
    elif change == "replaced":
        added(store, rhythm=Rhythm("0 5 * * *", "UTC"), replaces=True)
    else:
        store.schedules.remove_schedule("nights")
    assert store.schedules.fire(firing) is None
    assert (fire(store), submitted(store)) == ([], [])
    if change == "replaced":
        assert found(store).due_at == at("2026-12-01T05:00"), "the new rhythm counts"


@pytest.mark.parametrize("change", ["paused", "replaced"])
def test_a_schedule_that_is_changed_at_the_moment_at_which_it_fires(store: Store, clock: Clock, change: str) -> None:
    """Either the firing is first, and there is its run, or the change is, and there is none: nothing is half done."""
    often = Rhythm("* * * * *", "UTC", overlap=Overlap.QUEUE)
    added(store, rhythm=often)
    for _ in range(20):
        clock.go_on(60)
        before, (due,) = len(submitted(store)), store.schedules.due_schedules()
        barrier = Barrier(2)

        def fires(due: Schedule = due, barrier: Barrier = barrier) -> str | None:
            firing = firing_of(due, clock.now)
            barrier.wait(10)
            return store.schedules.fire(firing)

        def changes(barrier: Barrier = barrier) -> None:
            barrier.wait(10)
            if change == "paused":
                store.schedules.pause_schedule("nights")
            else:
                added(store, rhythm=often, replaces=True)

        with ThreadPoolExecutor(2) as threads:
            made, changed = threads.submit(fires), threads.submit(changes)
            changed.result()
        assert len(submitted(store)) == before + (made.result() is not None)
        assert found(store).edition == due.edition + 1 + (made.result() is not None), "each is an edition of its own"
        if change == "paused":
            store.schedules.resume_schedule("nights")


def test_two_people_who_replace_a_schedule_at_once(store: Store, clock: Clock) -> None:
    added(store)
    for _ in range(10):
        edition, barrier = found(store).edition, Barrier(2)

        def replaces(hour: int, barrier: Barrier = barrier) -> Schedule:
            barrier.wait(10)
            return added(store, rhythm=Rhythm(f"0 {hour} * * *", "UTC"), replaces=True)

        with ThreadPoolExecutor(2) as threads:
            hours = {one.rhythm.cron for one in threads.map(replaces, (4, 5))}
        assert hours == {"0 4 * * *", "0 5 * * *"}
        assert found(store).rhythm.cron in hours
        assert found(store).edition == edition + 2


def test_what_a_daemon_leaves_that_dies_while_it_fires(store: Store, clock: Clock) -> None:
    """The firing is one transaction: the schedule is as before, and the next daemon fires."""
    added(store)
    clock.now = at("2026-12-01T01:30")
    (due,) = store.schedules.due_schedules()
    taken = replace(firing_of(due, clock.now), run="taken")
    store.submissions.submit(replace(SUBMITTED, run="taken"))
    # The submission is refused behind the move of the schedule, as a daemon dies there: both are undone.
    with pytest.raises(StoreError):
        store.schedules.fire(taken)
    assert found(store) == due
    assert len(fire(store)) == 1
    assert [one.schedule for one in submitted(store)] == [None, "nights"]


def test_an_earlier_run_that_is_not_over(store: Store, clock: Clock) -> None:
    added(store, "skips")
    added(store, "queues", replace(DAILY, overlap=Overlap.QUEUE))
    clock.now = at("2026-12-01T01:30")
    fire(store)
    first = {one.schedule: one for one in submitted(store)}
    clock.now = at("2026-12-02T01:30")
    fire(store)
    assert found(store, "skips").last == f"skipped: {first['skips'].run} of before is not over"
    assert [one.schedule for one in submitted(store)] == ["skips", "queues", "queues"]
    end(store, first["skips"])
    clock.now = at("2026-12-03T01:30")
    fire(store)
    assert [one.schedule for one in submitted(store)] == ["queues", "queues", "skips", "queues"]


def test_moments_without_a_daemon_are_one_run_or_none(store: Store, clock: Clock) -> None:
    added(store, "runs")
    added(store, "skips", replace(DAILY, missed=Missed.SKIP))
    clock.now = at("2026-12-05T12:00")
    fire(store)
    assert [one.schedule for one in submitted(store)] == ["runs"]
    assert (found(store, "skips").last or "").startswith("missed: no daemon fired at 2026-12-01")
    for name in ("runs", "skips"):
        assert found(store, name).due_at == at("2026-12-06T01:30")
    # A daemon that is a little late has missed nothing.
    clock.now = at("2026-12-06T01:33")
    fire(store)
    assert [one.schedule for one in submitted(store)] == ["runs", "skips"]


def test_what_falls_into_a_pause_is_not_made_up_for(store: Store, clock: Clock) -> None:
    added(store)
    assert store.schedules.pause_schedule("nights").is_paused
    with pytest.raises(ConfigError, match="is paused already"):
        store.schedules.pause_schedule("nights")
    clock.now = at("2026-12-05T12:00")
    assert fire(store) == []
    resumed = store.schedules.resume_schedule("nights")
    assert (resumed.is_paused, resumed.due_at) == (False, at("2026-12-06T01:30"))
    assert fire(store) == []
    with pytest.raises(ConfigError, match="is not paused"):
        store.schedules.resume_schedule("nights")


def test_a_removed_schedule_leaves_its_runs(store: Store, clock: Clock) -> None:
    added(store)
    clock.now = at("2026-12-01T01:30")
    fire(store)
    store.schedules.remove_schedule("nights")
    assert [one.schedule for one in submitted(store)] == ["nights"]
    for change in (
        store.schedules.remove_schedule,
        store.schedules.pause_schedule,
        store.schedules.resume_schedule,
    ):
        with pytest.raises(ConfigError, match="no schedule is called 'nights'"):
            change("nights")


def test_a_content_that_is_gone_is_told_and_the_schedule_goes_on(store: Store, clock: Clock) -> None:
    added(store)
    store.vault.drop_blob(FILE.sha256)
    clock.now = at("2026-12-01T01:30")
    (said,) = fire(store)
    assert said == "schedule nights: failed: a content is gone from the database; add nights again with --replace"
    assert found(store).due_at == at("2026-12-02T01:30")
    added(store, replaces=True)
    clock.now = at("2026-12-02T01:30")
    fire(store)
    assert len(submitted(store)) == 1


def test_a_zone_that_this_machine_lacks_holds_nobody_up(store: Store, clock: Clock) -> None:
    added(store, "far")
    added(store)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE schedule SET zone = 'Mars/Olympus' WHERE name = 'far'")
    clock.now = at("2026-12-01T01:30")
    said: list[str] = []
    firer = Firer(store, said.append)
    for _ in range(3):
        firer.fire_due()
    assert len(said) == 2, "each once"
    assert said[0] == "schedule far cannot fire here: this machine knows no time zone 'Mars/Olympus'"
    assert [one.schedule for one in submitted(store)] == ["nights"]
    assert found(store, "far").fired_at is None, "another daemon may know the zone"


def test_the_newest_run_knows_best_how_long_the_next_takes(store: Store, clock: Clock) -> None:
    added(store)
    clock.now = at("2026-12-01T01:30")
    fire(store)
    (one,) = submitted(store)
    store.submissions.expect({one.id: {"pi-03": 77.0}})
    end(store, one)
    clock.now += timedelta(days=1)
    fire(store)
    assert submitted(store)[0].device_s == {"pi-03": 77.0}
