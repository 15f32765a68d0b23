"""Which night a command goes on with, and on which devices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.nightly import Nightly
from orchestrator.services.nights.run import begin, usable
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, sample_device, save_snapshot

NIGHTLY = Nightly("digits", "nightly.yaml", "/lab", ("a.yaml",))
PI, NANO = sample_device("pi-03"), sample_device("nano-01")


def test_a_night_is_gone_on_with_until_it_ends_and_then_shown(store: Store) -> None:
    first = begin(NIGHTLY, store, again=False)
    assert first.id == f"digits-{datetime.now(UTC):%Y%m%d}"
    assert begin(NIGHTLY, store, again=False).id == first.id
    store.nights.end_night(first.id, 0, {})
    assert begin(NIGHTLY, store, again=False).ended_at is not None


def test_another_night_of_the_day_has_a_name_of_its_own(store: Store) -> None:
    first = begin(NIGHTLY, store, again=False)
    assert [begin(NIGHTLY, store, again=True).id for _ in range(2)] == [f"{first.id}-2", f"{first.id}-3"]
    assert begin(NIGHTLY, store, again=False).id == f"{first.id}-3"


def test_nightlies_do_not_share_nights(store: Store) -> None:
    begin(NIGHTLY, store, again=False)
    assert begin(Nightly("words", "words.yaml", "/lab", ("a.yaml",)), store, again=False).nightly == "words"


def test_a_device_in_quarantine_is_left_out_and_named(store: Store) -> None:
    for device in (PI, NANO):
        save_snapshot(store, device, Facts(FACTS), STARTED_AT)
    assert usable([PI, NANO], store) == ((PI, NANO), ())
    store.recovery.quarantine(PI, "its fan is broken", "ann@ws1")

    devices, (note,) = usable([PI, NANO], store)

    assert devices == (NANO,)
    assert note.startswith("pi-03 is in quarantine since ")
    assert note.endswith(": its fan is broken")
    with pytest.raises(OrchestratorError, match="every device is in quarantine"):
        usable([PI], store)
