"""Leases are renewed beside the driver, on both databases, and a lease that was lost stays lost."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from orchestrator.domain.errors import LeaseLost, StoreError
from orchestrator.domain.lease import Busy, Granted, Lease, LeaseRequest
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.driving.leases import DeviceLeases
from orchestrator.driving.renewals import Renewed
from orchestrator.store.base import Leases
from orchestrator.store.records.fencing import fenced_off
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import sample_device, sample_header, sample_model, sample_sweep
from tests.databases import Databases
from tests.servers.processes import wait_until

PI = sample_device("pi-03")
LEASE_S = 0.6
ANN = ControllerIdentity("ann@ws1", "pid 100", lease_s=LEASE_S)
BOB = LeaseRequest("bob@ws2", "pid 200", "run-2", None, 60.0)
WAIT_S = 30.0


@pytest.fixture
def store(databases: Databases) -> Iterator[Store]:
    with open_store(databases.migrated()) as opened:
        for run in ("run-1", "run-2"):
            opened.runs.create_run(sample_header(run, sample_sweep(), sample_model()), sample_model(), [PI])
        yield opened


@dataclass
class Driver:
    """Holds the lease of one device, and hears of the renewals."""

    leases: DeviceLeases
    told: queue.SimpleQueue[Renewed]

    def hear(self) -> Renewed:
        return self.told.get(timeout=WAIT_S)

    def hear_of_loss(self) -> Sequence[LeaseLost]:
        while not (lost := self.leases.take(self.hear())):
            pass
        return lost


def drive(records: Leases) -> Driver:
    told: queue.SimpleQueue[Renewed] = queue.SimpleQueue()
    return Driver(DeviceLeases(records, "run-1", ANN, told.put), told)


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    made = drive(store.leases)
    assert isinstance(made.leases.request([PI])["pi-03"], Granted)
    yield made
    made.leases.close()


def lease_of(store: Store) -> Lease:
    (lease,) = store.leases.holdings(["pi-03"])["pi-03"].held
    return lease


def outlive(store: Store, times: int) -> None:
    """Wait until the lease lasts for so many times its own length."""

    def lasts() -> bool:
        lease = lease_of(store)
        return lease.expires_at - (lease.granted_at or lease.expires_at) > timedelta(seconds=times * LEASE_S)

    wait_until(lasts, "the lease was renewed", WAIT_S)


def test_a_driver_that_does_nothing_for_long_keeps_its_devices(store: Store, driver: Driver) -> None:
    outlive(store, 4)
    assert isinstance(store.leases.request_leases([PI], BOB)["pi-03"], Busy)


def test_a_lease_that_was_lost_stays_lost(store: Store, driver: Driver) -> None:
    taker = store.leases.request_leases([PI], replace(BOB, run="run-1"))["pi-03"]
    assert isinstance(taker, Granted)
    (lost,) = driver.hear_of_loss()
    assert "was taken over by bob@ws2" in str(lost)
    assert driver.leases.ids == {}
    for _ in range(3):
        assert driver.hear().lost == {}
    assert lease_of(store).id == taker.lease.id


def test_what_is_found_lost_after_it_was_given_back_says_nothing_of_a_later_lease(store: Store, driver: Driver) -> None:
    before = driver.leases.ids["pi-03"]
    driver.leases.end("pi-03")
    driver.leases.settle()
    driver.leases.request([PI])
    late = Renewed({before: LeaseLost("pi-03", "the lease of run run-1 ended")})
    assert driver.leases.take(late) == []
    assert driver.leases.ids["pi-03"] == lease_of(store).id != before


def test_a_driver_that_writes_for_long_does_not_hold_up_its_renewals(
    store: Store, driver: Driver, databases: Databases
) -> None:
    """On SQLite there is one writer at a time; there the parts of a long write are short instead."""
    if databases.kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    with store.database.write() as connection:
        assert fenced_off(connection, {("run-1", "pi-03")}, driver.leases.ids) == {}
        outlive(store, 4)


class SlowRecords:
    """The role of leases, whose renewals wait at a gate, or fail."""

    def __init__(self, records: Leases) -> None:
        self._records = records
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.error: StoreError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._records, name)

    def renew_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        if threading.current_thread().name == "renew leases":
            self.waiting.set()
            assert self.gate.wait(WAIT_S)
            if self.error is not None:
                raise self.error
        return self._records.renew_leases(leases)


@dataclass
class Slow:
    """A driver over records that can be held up."""

    store: Store
    records: SlowRecords = field(init=False)
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.records = SlowRecords(self.store.leases)
        self.driver = drive(self.records)  # type: ignore[arg-type]
        self.driver.leases.request([PI])


@pytest.fixture
def slow(store: Store) -> Iterator[Slow]:
    made = Slow(store)
    yield made
    made.records.gate.set()
    made.driver.leases.close()


def test_a_renewal_under_way_does_not_shorten_the_lease_of_a_device_that_goes_on_by_itself(slow: Slow) -> None:
    assert slow.records.waiting.wait(WAIT_S)
    slow.driver.leases.leave_running("pi-03", 7200.0)
    settling = threading.Thread(target=slow.driver.leases.settle)
    settling.start()
    slow.records.gate.set()
    settling.join(WAIT_S)
    slow.driver.hear()
    lease = lease_of(slow.store)
    assert lease.expires_at - (lease.granted_at or lease.expires_at) > timedelta(seconds=7200)


def test_a_database_out_of_reach_is_told_once_the_leases_have_run_out(slow: Slow) -> None:
    slow.records.error = StoreError("locked by another process")
    slow.records.gate.set()
    with pytest.raises(StoreError, match="locked by another process"):
        slow.driver.leases.take(slow.driver.hear())


def test_a_database_that_answers_again_in_time_is_not_told_of(slow: Slow) -> None:
    slow.records.error = StoreError("locked by another process")
    slow.records.gate.set()
    slow.records.waiting.clear()
    assert slow.records.waiting.wait(WAIT_S)
    slow.records.error = None
    assert slow.driver.hear().error is None
