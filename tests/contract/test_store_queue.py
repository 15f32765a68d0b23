"""What every database keeps of submissions and daemons, and who gets a claim."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier

import pytest

from orchestrator.domain.errors import ClaimLost, ConfigError, StoreError
from orchestrator.domain.lease import LeaseRequest
from orchestrator.domain.run_words import Commit, NewWords
from orchestrator.domain.submission import Claim, Submission, SubmissionState
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_header
from tests.contract.leases import MODEL, PI, SWEEP, granted
from tests.contract.queue_rows import ANN, BOB, FILE, LASTS_S, NEW, Clock, begun, claimed, submitted


def state(store: Store, run: str = "run-1") -> SubmissionState:
    found = store.submissions.find_submission(run)
    assert found is not None
    return found.state


# Submissions


def test_a_submission_keeps_what_was_asked(store: Store) -> None:
    words = NewWords(ANN, "sink", "new \x1b[2Jsink", {"branch": "main"}, Commit("a" * 40, True))
    early = datetime(2026, 12, 1, 4, tzinfo=UTC)
    made = submitted(store, words=words, not_before=early, priority=3, device_s={"pi-03": 4.5, "pi-04": None})
    assert store.submissions.open_submissions() == [made]
    assert (made.run, made.holder, made.person, made.sweep, made.select) == ("run-1", ANN, "ann", "one", "pi-*")
    assert (made.priority, made.not_before, made.device_s) == (3, early, {"pi-03": 4.5, "pi-04": None})
    assert made.words == replace(words, note="new [2Jsink")
    assert (made.state, made.claim, made.daemon, made.is_claimed) == (SubmissionState.WAITING, 0, None, False)
    assert store.submissions.files_of(made.id) == [FILE]


def test_a_submission_without_its_contents_is_refused(store: Store) -> None:
    store.vault.begin_blob(FILE.sha256, FILE.size)
    with pytest.raises(StoreError, match="is gone from the database"):
        store.submissions.submit(NEW)
    assert store.submissions.open_submissions() == []


def test_a_submission_is_found_by_id_name_and_beginning(store: Store) -> None:
    one, two = submitted(store, "20261130-1-a"), submitted(store, "20261130-2-b", words=NewWords(ANN, "sink"))
    assert store.submissions.find_submission("20261130-1-a") == one
    assert store.submissions.find_submission("sink") == two
    assert store.submissions.find_submission("20261130-2") == two
    assert store.submissions.find_submission("%") is None
    assert store.submissions.find_submission("") is None
    with pytest.raises(ConfigError, match="several submissions"):
        store.submissions.find_submission("20261130")


def test_a_person_moves_holds_releases_and_cancels(store: Store) -> None:
    one, two, three = (submitted(store, f"run-{number}") for number in (1, 2, 3))
    assert store.submissions.move_to_end(three.id, first=True).rank < one.rank
    assert store.submissions.move_to_end(one.id, first=False).rank > two.rank
    assert store.submissions.set_priority(two.id, 7).priority == 7
    held = store.submissions.hold(two.id, "lid open")
    assert (held.state, held.error) == (SubmissionState.HELD, "lid open")
    assert store.daemons.claim(two.id, two.claim, begun(store)) is None, "a held one is nobody's"
    assert store.submissions.release(two.id).state is SubmissionState.WAITING
    with pytest.raises(ConfigError, match="is waiting, not held"):
        store.submissions.release(two.id)
    gone = store.submissions.cancel(two.id, BOB)
    assert (gone.state, gone.error) == (SubmissionState.CANCELLED, f"cancelled by {BOB}")
    with pytest.raises(ConfigError, match="is cancelled already"):
        store.submissions.cancel(two.id, BOB)
    assert [one.run for one in store.submissions.newest_over(5)] == ["run-2"]


# Claims


def test_one_of_two_daemons_gets_a_submission(store: Store) -> None:
    """Many times, since both must be at it in the same moment."""
    daemons = [begun(store, number) for number in (1, 2)]
    for turn in range(10):
        one, barrier = submitted(store, f"run-{turn}"), Barrier(2)

        def claim(daemon: int, one: Submission = one, barrier: Barrier = barrier) -> Claim | None:
            barrier.wait(10)
            return store.daemons.claim(one.id, one.claim, daemon)

        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(claim, daemons))
        assert sorted(answer is None for answer in answers) == [False, True]


def test_a_living_daemon_keeps_its_claim(store: Store, clock: Clock) -> None:
    one, first, second = submitted(store), begun(store, 1), begun(store, 2)
    claim = claimed(store, one, first)
    assert not store.daemons.wants_stop(claim)
    for _ in range(5):
        clock.go_on(LASTS_S * 0.9)
        store.daemons.renew_daemon(first, ["pi-03"], LASTS_S)
        assert store.daemons.claim(one.id, claim.number, second) is None
    (found,) = store.submissions.open_submissions()
    assert (found.is_claimed, found.daemon, found.claim) == (True, "lab@d1 (pid 1)", 1)


def test_a_dead_daemon_loses_its_claim_and_writes_nothing_more(store: Store, clock: Clock) -> None:
    one, first, second = submitted(store), begun(store, 1), begun(store, 2)
    old = claimed(store, one, first)
    clock.go_on(LASTS_S + 1)
    store.daemons.renew_daemon(second, ["pi-03"], LASTS_S)
    assert [daemon.id for daemon in store.daemons.live_daemons()] == [second]
    (found,) = store.submissions.open_submissions()
    assert (found.state, found.is_claimed) == (SubmissionState.RUNNING, False)
    new = claimed(store, found, second)
    for write in (
        lambda: store.daemons.finish(old, SubmissionState.ENDED),
        lambda: store.daemons.give_back(old),
        lambda: store.daemons.wants_stop(old),
    ):
        with pytest.raises(ClaimLost, match="claimed by lab@d2"):
            write()
    store.daemons.finish(new, SubmissionState.FAILED, "no \x1b[2Jwheel", "wait")
    over = store.submissions.find_submission("run-1")
    assert over is not None
    assert (over.state, over.error, over.hint, over.ended_at) == (
        SubmissionState.FAILED,
        "no [2Jwheel",
        "wait",
        clock.now,
    )
    with pytest.raises(ClaimLost, match="is failed by now"):
        store.daemons.give_back(new)


def test_a_daemon_that_ends_leaves_its_claim_to_the_next_at_once(store: Store) -> None:
    one, first, second = submitted(store), begun(store, 1), begun(store, 2)
    store.daemons.give_back(claimed(store, one, first))
    assert state(store) is SubmissionState.WAITING
    again = claimed(store, replace(one, claim=1), second)
    store.daemons.end_daemon(second)
    assert claimed(store, replace(one, claim=again.number), first).number == 3


def test_a_daemon_takes_its_own_up_again(store: Store) -> None:
    """The database was out of reach in the middle of a run: nobody gave the claim back."""
    one, daemon = submitted(store), begun(store)
    lost = claimed(store, one, daemon)
    assert claimed(store, replace(one, claim=lost.number), daemon).number == 2
    with pytest.raises(ClaimLost):
        store.daemons.finish(lost, SubmissionState.ENDED)


def test_what_has_begun_is_cancelled_by_a_daemon(store: Store) -> None:
    one, daemon = submitted(store), begun(store)
    claim = claimed(store, one, daemon)
    asked = store.submissions.cancel(one.id, BOB)
    assert (asked.state, asked.stops) == (SubmissionState.RUNNING, True)
    assert store.daemons.wants_stop(claim)
    with pytest.raises(ConfigError, match="is running, not waiting or held"):
        store.submissions.hold(one.id, None)
    # Begun, and left behind: the run may still go on at its devices.
    store.daemons.give_back(claim)
    store.submissions.hold(one.id, None)
    assert store.submissions.cancel(one.id, BOB).state is SubmissionState.WAITING
    assert store.daemons.wants_stop(claimed(store, replace(one, claim=1), daemon))


# Shares


def test_shares_are_the_device_time_of_people_over_a_day(store: Store, clock: Clock) -> None:
    store.runs.create_run(sample_header("run-1", SWEEP, MODEL), MODEL, [PI])
    request = LeaseRequest(ANN, "pid 1", "run-1", None, 3600.0)
    lease = granted(store, request).lease
    clock.go_on(100)
    assert store.daemons.shares() == {"ann": 100.0}
    store.leases.end_leases([lease.id])
    clock.go_on(1000)
    # The same person on another machine.
    granted(store, replace(request, holder="ann@laptop"))
    clock.go_on(50)
    assert store.daemons.shares() == {"ann": 150.0}
    clock.go_on(86_400 - 1150 + 40)
    assert store.daemons.shares()["ann"] == 3600.0 + 60.0, "an expired lease counts to its end, an old one in part"
    clock.go_on(86_400)
    assert store.daemons.shares().get("ann", 0.0) == 0.0


def test_ten_thousand_submissions_are_read_in_one_statement_each(store: Store) -> None:
    submitted(store)
    with store.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO submission (run_id, holder, sweep, source, selector, priority, rank, state, submitted_at,"
            " tags, claim, stops)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
            " SELECT 'many-' || i, holder, sweep, source, selector, priority, i, state, submitted_at,"
            " tags, claim, stops"
            " FROM submission, n"
        )
    assert len(store.submissions.open_submissions()) == 10_001


def test_who_cancelled_a_run_stays_on_record_though_it_gives_way(store: Store) -> None:
    one = submitted(store)
    claim = claimed(store, one, begun(store))
    store.submissions.cancel(one.id, BOB)
    store.daemons.give_way(claim, "urgent")
    then = store.submissions.find_submission(one.run)
    assert then is not None
    assert (then.stops, then.error) == (True, f"cancelled by {BOB}")
