"""What every database deletes of old runs, and what stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, event, func, select, update

from orchestrator.domain.baseline import BaselineKind, NewBaseline
from orchestrator.domain.errors import BlobError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.pruning import Keeping, RawSamples
from orchestrator.domain.schedule import NewSchedule, Rhythm
from orchestrator.domain.submission import NewSubmission, ParcelFile
from orchestrator.store.records import retention, vault
from orchestrator.store.records.submissions import put_submission
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import CLOCK
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    power_account,
    power_trace,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.servers.processes import wait_until

PI, MODEL = sample_device("pi-03"), sample_model()
SWEEP = sample_sweep(("fp32",), trials=3)
PLAN = sample_plan(PI, SWEEP, MODEL)
LATER = STARTED_AT + timedelta(days=2)


def measure(store: Store, run: str = "old", days: int = 0, *, ends: bool = True) -> None:
    """Store a run with samples, and with readings of power."""
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(days=days)), MODEL, [PI])
    save_plan(store, run, PLAN, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog(run, PLAN)
    for trial in PLAN.trials:
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, [number("accuracy_top1", 0.9)])
        else:
            account = power_account(trace=power_trace([4_000_000, 4_100_000]))
            log.finished(trial.key, [Sampled("latency_ns", range(1000, 1040))], power=account)
    store.logs.ingest([(log.run_finished() if ends else log).arrived()])


def counts(store: Store) -> dict[str, int]:
    tables = (t.measurement, t.cell_value, t.sample_hist, t.sample_block, t.power_trace)
    with store.database.read() as connection:
        return {one.name: connection.execute(select(func.count()).select_from(one)).scalar_one() for one in tables}


def test_samples_go_and_all_that_follows_from_them_stays(store: Store) -> None:
    measure(store)
    before, value = counts(store), store.results.cell_results("old", "latency_ns")
    raw = store.retention.raw_samples("old")
    assert raw.blocks == before["sample_block"] + before["power_trace"] == 6
    assert raw.size_bytes > 0
    assert store.retention.pruned("old") is None
    assert store.retention.prune("old", "ann@ws1") == raw
    assert counts(store) == before | {"sample_block": 0, "power_trace": 0}
    assert store.results.cell_results("old", "latency_ns") == value
    pruned = store.retention.pruned("old")
    assert pruned is not None
    assert pruned.who == "ann@ws1"
    assert abs(pruned.at - datetime.now(UTC)) < timedelta(hours=1)
    assert pruned.sentence.endswith(" by ann@ws1; summaries stay")
    assert store.retention.raw_samples("old") == RawSamples()


def test_young_runs_and_runs_that_others_need_keep_their_samples(store: Store) -> None:
    for days, run in enumerate(("old", "level", "young")):
        measure(store, run, days)
    measure(store, "open", 0, ends=False)
    store.baselines.record(NewBaseline("lab", "level", BaselineKind.PINNED, "ann@ws1", "steady"))
    free, kept = store.retention.old_runs(LATER)
    assert dict(free) == {"old": STARTED_AT}
    assert kept == {"level": Keeping.BASELINE, "open": Keeping.UNDER_WAY}
    assert store.retention.prune("level", "ann@ws1") == store.retention.prune("open", "ann@ws1") == RawSamples()
    assert store.retention.pruned("level") is store.retention.pruned("open") is None
    store.retention.prune("old", "ann@ws1")
    assert dict(store.retention.old_runs(LATER)[0]) == {}, "a pruned run is not looked at again"


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_ATTEMPTS_AT_ONCE", 1)
    monkeypatch.setattr(retention, "_CHUNKS_AT_ONCE", 1)
    monkeypatch.setattr(vault, "CHUNK_BYTES", 10)


@pytest.mark.usefixtures("one_at_a_time")
def test_an_interrupted_pruning_says_so_and_goes_on(store: Store) -> None:
    measure(store)
    raw = store.retention.raw_samples("old")
    with failing(store, "DELETE FROM sample_block", after=2), pytest.raises(StoreError):
        store.retention.prune("old", "ann@ws1")
    assert counts(store)["sample_block"] == 1, "two portions are gone for good"
    pruned = store.retention.pruned("old")
    assert pruned is not None
    assert dict(store.retention.old_runs(LATER)[0]) == {"old": STARTED_AT}
    store.retention.prune("old", "bob@ws2")
    assert store.retention.pruned("old") == pruned, "who began stays on record"
    assert store.retention.raw_samples("old") == RawSamples()
    with store.database.read() as connection:
        row = connection.execute(select(t.raw_pruning)).one()
    assert (row.blocks, row.size_bytes) == (raw.blocks, raw.size_bytes)
    assert row.finished_at is not None


@pytest.mark.usefixtures("one_at_a_time")
def test_a_run_that_is_taken_up_again_keeps_what_is_left(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(store)
    locked, looks = retention._lock_free, iter(range(100))

    def resumed(connection: Connection, run: str) -> bool:
        if next(looks) == 3:
            connection.execute(update(t.run).values(finished_at=None))
        return locked(connection, run)

    monkeypatch.setattr(retention, "_lock_free", resumed)
    assert store.retention.prune("old", "ann@ws1").blocks == 2
    assert counts(store)["sample_block"] == 1
    with store.database.read() as connection:
        assert connection.execute(select(t.raw_pruning.c.finished_at)).scalar_one() is None, "left to the next pruning"


class failing:  # noqa: N801 - reads as a word
    """Let the database refuse a statement, once it has carried out so many."""

    def __init__(self, store: Store, statement: str, after: int) -> None:
        self._engine, self._statement, self._left = store.database._engine, statement, after

    def _look(self, _connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(self._statement):
            if not self._left:
                raise StoreError("the power is gone")
            self._left -= 1

    def __enter__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._look)

    def __exit__(self, *_raised: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._look)


def test_a_deleted_run_takes_its_pruning_along(store: Store) -> None:
    measure(store)
    store.retention.prune("old", "ann@ws1")
    assert store.words.delete("old", "bob@ws2").attempts == 4
    assert store.retention.pruned("old") is None


# Contents


@pytest.fixture
def tomorrow(store: Store) -> Iterator[None]:
    """Let the database's clock be two days on."""
    store.database._engine.update_execution_options(**{CLOCK: lambda: datetime.now(UTC) + timedelta(days=2)})
    yield
    store.database._engine.update_execution_options(**{CLOCK: None})


def upload(store: Store, content: bytes) -> ParcelFile:
    file = ParcelFile("sweep.yaml", hashlib.sha256(content).hexdigest(), len(content))
    size, missing = store.vault.begin_blob(file.sha256, file.size)
    for place in missing:
        store.vault.put_chunk(file.sha256, place, content[place * size : (place + 1) * size])
    store.vault.finish_blob(file.sha256)
    return file


@pytest.mark.usefixtures("one_at_a_time")
def test_contents_of_a_cut_submission_go_once_they_are_old(store: Store, request: pytest.FixtureRequest) -> None:
    wanted, cut = upload(store, b"sweep: of a submission"), upload(store, b"sweep: of nobody, which was cut off")
    nightly = upload(store, b"sweep: of a schedule that has not fired yet")
    leap = Rhythm("0 2 29 2 *", "UTC")
    store.schedules.add_schedule(NewSchedule("leap", "ann@ws1", leap, "one", "/lab/one.yaml", "all", 0, (nightly,)))
    store.submissions.submit(NewSubmission("run-1", "ann@ws1", "one", "/lab/one.yaml", "all", 0, (wanted,)))
    assert store.retention.abandoned() == [], "an upload may go on for a day"
    request.getfixturevalue("tomorrow")
    assert store.retention.abandoned() == [cut.sha256]
    assert store.retention.stored(cut.sha256) == RawSamples(4, 35)
    assert store.retention.drop(wanted.sha256) == RawSamples(), "named by a submission"
    assert store.retention.drop(nightly.sha256) == RawSamples(), "named by a schedule"
    assert store.retention.drop(cut.sha256) == RawSamples(4, 35)
    assert store.retention.abandoned() == []
    assert b"".join(store.vault.chunks(wanted.sha256)) == b"sweep: of a submission"


@pytest.mark.usefixtures("one_at_a_time", "tomorrow")
def test_an_interrupted_removal_leaves_a_content_that_can_be_sent_again(store: Store) -> None:
    content = b"sweep: of nobody, which was cut off"
    cut = upload(store, content)
    store.database._engine.update_execution_options(**{CLOCK: lambda: datetime.now(UTC) + timedelta(days=4)})
    with failing(store, "DELETE FROM blob_chunk", after=2), pytest.raises(StoreError):
        store.retention.drop(cut.sha256)
    new = NewSubmission("run-1", "ann@ws1", "one", "/lab/one.yaml", "all", 0, (cut,))
    with pytest.raises(StoreError, match="is gone from the database"):
        store.submissions.submit(new)
    upload(store, content)
    store.submissions.submit(new)
    assert b"".join(store.vault.chunks(cut.sha256)) == content


def wait_for_waiting(store: Store) -> None:
    """Wait until a statement waits for a row. SQLite locks as a whole: there it is no matter who comes first."""

    def waits() -> bool:
        with store.database.read() as connection:
            return bool(connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())

    if not store.database.is_sqlite:
        wait_until(waits, "a statement waits for a row")


def test_a_content_that_a_submission_names_meanwhile_stays(store: Store, request: pytest.FixtureRequest) -> None:
    content = b"sweep: sent twice"
    cut = upload(store, content)
    request.getfixturevalue("tomorrow")
    with ThreadPoolExecutor(1) as threads:
        with store.database.write() as connection:
            assert vault.missing_blobs(connection, {cut.sha256}) == frozenset()
            dropping = threads.submit(store.retention.drop, cut.sha256)
            wait_for_waiting(store)
            put_submission(connection, NewSubmission("run-1", "ann@ws1", "one", "/lab/one.yaml", "all", 0, (cut,)))
        assert dropping.result(30) == RawSamples()
    assert b"".join(store.vault.chunks(cut.sha256)) == content


@pytest.mark.usefixtures("one_at_a_time")
def test_a_content_that_loses_a_chunk_meanwhile_never_counts_as_whole(store: Store) -> None:
    cut = upload(store, b"sweep: of nobody, which was cut off")
    with ThreadPoolExecutor(1) as threads:
        with store.database.write() as connection:
            connection.execute(update(t.stored_blob).values(stored_at=None))
            finishing = threads.submit(store.vault.finish_blob, cut.sha256)
            wait_for_waiting(store)
            connection.execute(delete(t.blob_chunk).where(t.blob_chunk.c.position == 0))
        with pytest.raises(BlobError, match="not all of its chunks have arrived"):
            finishing.result(30)
    with store.database.read() as connection:
        assert connection.execute(select(t.stored_blob.c.stored_at)).scalar_one() is None


@pytest.mark.usefixtures("one_at_a_time")
def test_a_cut_upload_that_goes_on_days_later_is_not_abandoned(store: Store, request: pytest.FixtureRequest) -> None:
    content = b"sweep: of nobody, which was cut off"
    sha256 = hashlib.sha256(content).hexdigest()
    store.vault.begin_blob(sha256, len(content))
    store.vault.put_chunk(sha256, 0, content[:10])
    request.getfixturevalue("tomorrow")
    assert store.retention.abandoned() == [sha256]
    assert store.vault.begin_blob(sha256, len(content)) == (10, [1, 2, 3])
    assert store.retention.abandoned() == []
    assert store.retention.drop(sha256) == RawSamples(), "listed before the upload went on"
    assert store.retention.stored(sha256) == RawSamples(1, 10)


def test_the_disk_gets_the_room_back(store: Store) -> None:
    measure(store)
    store.retention.prune("old", "ann@ws1")
    store.retention.vacuum()
    assert store.runs.find_run("old") is not None
