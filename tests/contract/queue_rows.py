"""What suites of the queue begin with: a clock that a test sets, submissions, and daemons that claim them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.domain.submission import Claim, NewSubmission, ParcelFile, Submission
from orchestrator.store.store import Store

ANN, BOB = "ann@ws1", "bob@ws2"
LASTS_S = 60.0
TEXT = b"sweep: one"
FILE = ParcelFile("sweep.yaml", hashlib.sha256(TEXT).hexdigest(), len(TEXT))
NEW = NewSubmission("run-1", ANN, "one", "/lab/one.yaml", "pi-*", 0, (FILE,))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def stored_file(store: Store) -> None:
    store.vault.begin_blob(FILE.sha256, FILE.size)
    store.vault.put_chunk(FILE.sha256, 0, TEXT)
    store.vault.finish_blob(FILE.sha256)


def submitted(store: Store, run: str = "run-1", **more: object) -> Submission:
    stored_file(store)
    return store.submissions.submit(replace(NEW, run=run, **more))  # type: ignore[arg-type]


def found_again(store: Store, one: Submission) -> Submission:
    found = store.submissions.find_submission(one.run)
    assert found is not None
    return found


def begun(store: Store, number: int = 1) -> int:
    return store.daemons.begin_daemon(f"lab@d{number}", f"pid {number}", ["pi-03"], LASTS_S)


def claimed(store: Store, one: Submission, daemon: int) -> Claim:
    claim = store.daemons.claim(one.id, one.claim, daemon)
    assert claim is not None
    return claim
