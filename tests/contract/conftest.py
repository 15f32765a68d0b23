"""What several contract suites of the store begin with."""

from collections.abc import Iterator

import pytest

from orchestrator.store.sql.database_clock import CLOCK
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_header
from tests.contract.leases import MODEL, NANO, OTHER_RUN, PI, RUN, SWEEP
from tests.contract.planned_runs import Planned, plan_run
from tests.contract.queue_rows import Clock


@pytest.fixture
def planned(store: Store) -> Planned:
    return plan_run(store)


@pytest.fixture
def fleet(store: Store) -> Store:
    """A store with two runs of two devices."""
    for run in (RUN, OTHER_RUN):
        store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, NANO])
    return store


@pytest.fixture
def clock(store: Store) -> Iterator[Clock]:
    told = Clock()
    store.database._engine.update_execution_options(**{CLOCK: told})
    yield told
    store.database._engine.update_execution_options(**{CLOCK: None})
