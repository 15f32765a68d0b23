"""Any history of claims, renewals, expiries and ends: one holder at a time, tokens that only grow, a fair queue."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Row, select

from orchestrator.domain.lease import Busy, Granted, LeaseRequest
from orchestrator.store.schema import tables
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import sample_device, sample_header, sample_model, sample_sweep
from tests.databases import SqliteDatabases
from tests.effort import examples

PI = sample_device("pi-03")
RUNS = ("run-1", "run-2", "run-3")
HOLDERS = ("ann@ws1", "bob@ws2")
GONE = -1.0
"""A lease that is renewed for so long has run out."""


class LeaseHistories(RuleBasedStateMachine):
    """One device of a real database; `_places` are the queue as its members know it."""

    databases: SqliteDatabases

    @initialize()
    def begin(self) -> None:
        self._store: Store = open_store(self.databases.migrated())
        for run in RUNS:
            self._store.runs.create_run(sample_header(run, sample_sweep(), sample_model()), sample_model(), [PI])
        self._tokens = [0]
        self._places: dict[int, LeaseRequest] = {}

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._store.close()

    @rule(
        holder=st.sampled_from(HOLDERS),
        run=st.sampled_from((None, *RUNS)),
        queues=st.booleans(),
        collects=st.booleans(),
    )
    def claim(self, holder: str, run: str | None, queues: bool, collects: bool) -> None:
        claim = LeaseRequest(holder, "pid 1", run, "why", 60.0, queues=queues, collects=collects and run is not None)
        answer = self._store.leases.request_leases([PI], claim)["pi-03"]
        self._take(answer, claim)
        if isinstance(answer, Busy) and answer.waiting is not None:
            self._places[answer.waiting] = claim

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        if not self._places:
            return
        place = data.draw(st.sampled_from(sorted(self._places)))
        claim = self._places.pop(place)
        before = self._waiting()
        answer = self._store.leases.request_leases([PI], claim, {"pi-03": place})["pi-03"]
        self._take(answer, claim)
        if isinstance(answer, Busy):
            assert answer.waiting is not None
            self._places[answer.waiting] = claim
        elif place in before and answer.lease.exclusive and not answer.taken_over and not self._sheltered(answer):
            assert place == min(before), "somebody who came later was served first"

    @rule(data=st.data(), how=st.sampled_from(("end", "expire", "renew")))
    def touch(self, data: st.DataObject, how: str) -> None:
        rows = [row.id for row in self._open()]
        if not rows:
            return
        lease = data.draw(st.sampled_from(rows))
        if how == "end":
            self._store.leases.end_leases([lease])
        else:
            lost = self._store.leases.renew_leases({lease: GONE if how == "expire" else 60.0})
            assert lost == []

    @invariant()
    def at_most_one_run_and_one_reservation_hold_the_device(self) -> None:
        if not hasattr(self, "_store"):
            return
        held = [row for row in self._open() if row.granted_at is not None and row.exclusive]
        runs = [row for row in held if row.run_id is not None]
        reservations = [row for row in held if row.run_id is None]
        assert len(runs) <= 1
        assert len(reservations) <= 1
        if runs and reservations:
            assert runs[0].holder == reservations[0].holder

    def _take(self, answer: Granted | Busy, claim: LeaseRequest) -> None:
        if isinstance(answer, Granted):
            assert answer.lease.token is not None
            assert answer.lease.token > self._tokens[-1]
            assert answer.lease.exclusive or claim.collects
            self._tokens.append(answer.lease.token)

    def _open(self) -> list[Row[Any]]:
        with self._store.database.read() as connection:
            return list(connection.execute(select(tables.lease).where(tables.lease.c.ended_at.is_(None))))

    def _waiting(self) -> list[int]:
        """Return the places that have not run out."""
        with self._store.database.read() as connection:
            now = database_time(connection)
        return [row.id for row in self._open() if row.granted_at is None and row.expires_at > now]

    def _sheltered(self, granted: Granted) -> bool:
        return any(row.granted_at is not None and row.run_id is None for row in self._open()) and not (
            granted.lease.is_reservation
        )


def test_one_holder_at_a_time_tokens_that_only_grow_and_a_fair_queue(sqlite_databases: SqliteDatabases) -> None:
    machine = type("LeaseHistories", (LeaseHistories,), {"databases": sqlite_databases})
    effort = settings(
        max_examples=examples(12),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=effort)
