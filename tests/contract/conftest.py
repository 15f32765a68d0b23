"""What several contract suites of the store begin with."""

import pytest

from orchestrator.store.store import Store
from tests.contract.planned_runs import Planned, plan_run


@pytest.fixture
def planned(store: Store) -> Planned:
    return plan_run(store)
