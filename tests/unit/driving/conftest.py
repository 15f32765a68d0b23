"""What tests of the driver share: a database, and a driver that does not wait for company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.driving import inbox
from orchestrator.store.store import Store, open_store


@pytest.fixture
def store(database_file: Path) -> Iterator[Store]:
    with open_store(str(database_file)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a record wait for no other device's: there is one, and it has answered already."""
    monkeypatch.setattr(inbox, "DELAY_S", 0.01)
