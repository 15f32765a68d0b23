"""Writers of one PostgreSQL take the rows of devices in one order, whatever order its own collation puts names in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, sample_device, sample_header, sample_model, sample_sweep
from tests.servers.postgres import PostgresServer

TURNS = 60
DEVICES = [sample_device(name) for name in ("B-1", "Pi-2", "Z", "a-0", "b-0", "pi-10", "pi-2", "é")]
"""In Python's order, which is "C"; people's collations put a-0, b-0, B-1, é, pi-2, Pi-2, pi-10 or so, and Z last."""


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    """A database that sorts names as people do, with two runs of all devices."""
    import psycopg  # an optional extra

    try:
        url = postgres_server.create_database("lock_order", icu_locale="en-US")
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(f"this PostgreSQL has no ICU: {error}")
    with open_store(url, upgrade=True) as store:
        for run in ("run-1", "run-2"):
            store.runs.create_run(sample_header(run, sample_sweep(), sample_model()), sample_model(), DEVICES)
    return url


@pytest.mark.system
def test_writers_that_name_the_same_devices_in_other_orders_never_wait_for_each_other_in_a_circle(url: str) -> None:
    """Two claim them, forwards and backwards; the third records facts of one after the other, in one transaction."""
    begin = Barrier(3)

    def claims(run: str, *, backwards: bool) -> Callable[[Store], None]:
        claim = LeaseRequest(f"{run}@ws1", "pid 1", run, None, 60.0)

        def turn(store: Store) -> None:
            answers = store.leases.request_leases(DEVICES[:: -1 if backwards else 1], claim)
            store.leases.end_leases([answer.lease.id for answer in answers.values() if isinstance(answer, Granted)])

        return turn

    def facts(store: Store) -> None:
        stored = store.devices.save_snapshots([(device, Facts(FACTS)) for device in reversed(DEVICES)], STARTED_AT)
        assert len(stored) == len(DEVICES)

    def write(turn: Callable[[Store], None]) -> int:
        with open_store(url) as store:
            begin.wait()
            for _ in range(TURNS):
                turn(store)
        return TURNS

    writers = (claims("run-1", backwards=False), claims("run-2", backwards=True), facts)
    with ThreadPoolExecutor(len(writers)) as pool:
        assert list(pool.map(write, writers)) == [TURNS] * len(writers)
