"""Several processes and threads on one database, servers that go away, disks that fill."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, Offset, RunState
from orchestrator.store.records.run_states import NewState, change_device_states
from orchestrator.store.store import Store, open_store
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
from tests.databases import Databases, PostgresDatabases, clear, content
from tests.servers.postgres import PostgresServer

DEVICES = [sample_device(f"pi-{number:02}") for number in range(4)]
MODEL, SWEEP = sample_model(), sample_sweep(trials=8)
LOGS: dict[str, EventLog] = {}


@pytest.fixture(autouse=True)
def logs() -> None:
    for device in DEVICES:
        plan = sample_plan(device, SWEEP, MODEL)
        log = LOGS[device.name] = EventLog("run", plan).runner_started()
        for trial in plan.trials:
            log.started(trial.key).finished(trial.key, [Sampled("latency_ns", [40_000 + i for i in range(200)])])
        log.run_finished()


@pytest.fixture
def url(databases: Databases) -> str:
    url = databases.migrated()
    with open_store(url) as store:
        prepare(store)
    return url


def prepare(store: Store) -> None:
    store.runs.create_run(sample_header("run", SWEEP, MODEL), MODEL, DEVICES)
    for device in DEVICES:
        snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
        save_plan(store, "run", sample_plan(device, SWEEP, MODEL), snapshot, WORKER_SHA256)


def deliver(url: str, step: int) -> None:
    """Ingest every log in pieces, all devices in one batch, as a driver does."""
    length = LOGS["pi-00"].last_seq
    with open_store(url) as store:
        for first in range(1, length + 1, step):
            store.logs.ingest([log.arrived(first, min(first + step - 1, length)) for log in LOGS.values()])


def test_two_controllers_that_follow_the_same_logs_store_each_record_once(url: str, databases: Databases) -> None:
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(deliver, url, step) for step in (3, 5, 7)]:
            done.result()
    with open_store(url) as store:
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.COMPLETE
        assert record.finished_at is not None
        together = content(store)
        clear(store)
        prepare(store)
    deliver(url, 100)
    with open_store(url) as store:
        assert content(store) == together


def test_a_run_ends_when_its_last_two_devices_end_at_once(url: str) -> None:
    def finish(device: str) -> None:
        with open_store(url) as other:
            other.runs.set_device_state("run", device, DeviceRunState.COMPLETE)

    with open_store(url) as store, ThreadPoolExecutor(1) as pool:
        for device in ("pi-00", "pi-01"):
            store.runs.set_device_state("run", device, DeviceRunState.COMPLETE)
        with store.database.write() as connection:
            third = connection.execute(text("SELECT max(id) - 1 FROM run_device")).scalar_one()
            change_device_states(connection, {third: NewState(DeviceRunState.COMPLETE)})
            fourth = pool.submit(finish, "pi-03")
            with pytest.raises(TimeoutError):
                fourth.result(timeout=0.5)
        fourth.result()
        record = store.runs.find_run("run")
        assert record is not None
        assert record.finished_at is not None


def test_readers_are_not_disturbed_by_the_writer(url: str) -> None:
    stop = threading.Event()

    def read(store: Store) -> int:
        reads = 0
        while not stop.is_set():
            record = store.runs.find_run("last")
            assert record is not None
            counted = sum(sum(device.trials.values()) for device in record.devices)
            planned = sample_plan(DEVICES[0], SWEEP, MODEL).trials
            assert counted == 4 * sum(trial.kind is TrialKind.MEASURE for trial in planned)
            store.results.cell_results("run", "latency_ns")
            reads += 1
        return reads

    with open_store(url) as store, ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, store) for _ in range(2)]
        try:
            length = LOGS["pi-00"].last_seq
            for seq in range(1, length + 1):
                store.logs.ingest([log.arrived(seq, seq) for log in LOGS.values()])
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)


def test_a_full_disk_stores_nothing_and_can_be_freed(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "a.db")) as store:
        prepare(store)
        with store.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        before = content(store)
        with pytest.raises(StoreError, match="the disk is full") as raised:
            store.logs.ingest([log.arrived() for log in LOGS.values()])
        assert raised.value.hint == "free some space; devices keep what is not stored yet"
        assert content(store) == before
        with store.database.read() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        store.logs.ingest([log.arrived() for log in LOGS.values()])
        assert store.logs.offset("run", "pi-00") == Offset("log-1", LOGS["pi-00"].last_seq)


def test_a_server_that_was_restarted_is_found_again(tmp_path: Path, postgres_server: PostgresServer) -> None:
    log = LOGS["pi-00"]
    with PostgresServer(tmp_path) as server, open_store(PostgresDatabases(server).migrated()) as store:
        prepare(store)
        store.logs.ingest([log.arrived(1, 5)])
        server.stop()
        with pytest.raises(StoreError, match="nothing answers there") as raised:
            store.logs.ingest([log.arrived(6)])
        assert server.password not in f"{raised.value} {raised.value.hint}"
        server.start()
        (result,) = store.logs.ingest([log.arrived(6)])
        assert result.offset.last_seq == log.last_seq


def test_a_wrong_password_or_database_says_so(postgres_server: PostgresServer) -> None:
    with pytest.raises(StoreError, match="the password was refused"):
        open_store(postgres_server.url.replace(postgres_server.password, "wrong"))
    with pytest.raises(StoreError, match="there is no such database"):
        open_store(postgres_server.url.rsplit("/", 1)[0] + "/nowhere")
    with pytest.raises(StoreError, match=r"the password was refused|does not know this user"):
        open_store(postgres_server.url.replace("//benchfleet:", "//stranger:"))
