"""The state machine of deliveries, at length."""

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from orchestrator.store.store import Store
from tests.contract.test_store_deliveries import Deliveries


def test_the_database_is_what_a_clean_delivery_makes_in_many_ways(store: Store) -> None:
    machine = type("Deliveries", (Deliveries,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))
