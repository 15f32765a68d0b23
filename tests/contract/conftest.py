"""What several contract suites of the store begin with."""

import pytest

from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_header
from tests.contract.leases import MODEL, NANO, OTHER_RUN, PI, RUN, SWEEP
from tests.contract.planned_runs import Planned, plan_run


@pytest.fixture
def planned(store: Store) -> Planned:
    return plan_run(store)


@pytest.fixture
def fleet(store: Store) -> Store:
    """A store with two runs of two devices."""
    for run in (RUN, OTHER_RUN):
        store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, NANO])
    return store
