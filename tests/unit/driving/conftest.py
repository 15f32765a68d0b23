"""What tests of the driver share: a database, and a driver that does not wait for company."""

from __future__ import annotations

import pytest

from orchestrator.driving import inbox
from orchestrator.store.store import Store
from tests.databases import clear


@pytest.fixture
def store(kept_sqlite_store: Store) -> Store:
    """A store without any rows. One stays open, because every engine compiles each statement anew."""
    clear(kept_sqlite_store)
    return kept_sqlite_store


@pytest.fixture(autouse=True)
def no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a record wait for no other device's: there is one, and it has answered already."""
    monkeypatch.setattr(inbox, "DELAY_S", 0.01)
