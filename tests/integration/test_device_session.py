"""A session with a real worker on this machine: what it reports, and what it survives."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from device_worker.protocol.vocabulary import Event, LogState, RunOutcome
from orchestrator.blobs.worker import worker_archive
from orchestrator.domain.conversation import (
    Attachment,
    Cancel,
    Close,
    Command,
    FactsReported,
    FollowEnded,
    Forget,
    PlanStarted,
    RecordsArrived,
    SessionEnded,
    Step,
    StepBegan,
)
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import BlobDamaged, DeviceError, LinkLost, NoPython, Unreachable, WorkerFailed
from orchestrator.domain.recovery import Recovery
from orchestrator.session.link import LinkPolicy
from orchestrator.testing.faulty_transport import Cut, Damage, Fault, Refusal, Silence
from orchestrator.transport.admission import Gate, Turn
from tests.integration.session_bench import OK, WAIT_S, Bench, Talk


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def talks() -> Iterator[list[Talk]]:
    begun: list[Talk] = []
    yield begun
    for talk in begun:
        talk.end()


def finished(events: Sequence[Mapping[str, object]]) -> list[object]:
    return [event["trial"] for event in events if event["kind"] == Event.TRIAL_FINISHED]


def test_a_plan_is_shipped_run_followed_and_forgotten(bench: Bench, talks: list[Talk]) -> None:
    talk = Talk(bench)
    talks.append(talk)
    facts = talk.until(FactsReported).facts
    assert facts.processors.count
    talk.post(bench.assignment(OK))
    started = talk.until(PlanStarted)
    ended = talk.until(FollowEnded)

    assert ended.state == LogState.FINISHED
    assert ended.log_id == started.log_id
    assert finished(talk.events) == ["j1.1", "j1.2", "j1.3"]
    assert talk.events[-1]["outcome"] == RunOutcome.COMPLETE

    talk.post(Forget("run-1", started.log_id, ended.last_seq or 0))
    assert talk.until(SessionEnded).error is None
    assert not list((bench.folder / "device" / "runs").iterdir())


class WatchedGate(Gate):
    """A gate for one turn at once that tells of each turn asked for. Its clock stands still: no turn becomes slow."""

    def __init__(self) -> None:
        super().__init__(1, clock=lambda: 0.0)
        self.asked: queue.SimpleQueue[Turn] = queue.SimpleQueue()

    def enter(self, device: str, door: str | None = None, stage: int = 0) -> Turn:
        turn = super().enter(device, door, stage)
        self.asked.put(turn)
        return turn


def test_a_session_that_closes_in_the_queue_leaves_another_runs_session_with_the_device(
    bench: Bench, talks: list[Talk]
) -> None:
    gate = WatchedGate()
    ahead = gate.enter("another")
    closing, staying = Talk(bench, gate=gate), Talk(bench, gate=gate)
    talks += [closing, staying]
    for _ in (ahead, closing, staying):
        gate.asked.get(timeout=WAIT_S)

    closing.end()
    gate.leave(ahead, succeeded=True)

    assert staying.until(FactsReported).facts.processors.count


def test_a_second_session_ships_nothing_and_runs_nothing_again(bench: Bench, talks: list[Talk]) -> None:
    for _ in range(2):
        talk = Talk(bench)
        talks.append(talk)
        talk.until(FactsReported)
        talk.post(bench.assignment(OK))
        talk.until(FollowEnded)
        talk.end()
    shipped = [
        [report.detail for report in talk.reports if isinstance(report, StepBegan) and report.step == Step.UPLOAD]
        for talk in talks
    ]
    assert " kB" in shipped[0][0]
    assert " of " in shipped[0][1]
    assert shipped[1] == []
    assert len(finished(talks[1].events)) == 3


@pytest.mark.parametrize("after_bytes", [1, 2_000, 3_000, 4_500, 6_000])
def test_a_cut_link_is_sought_again_and_no_record_is_lost_or_doubled(
    bench: Bench, talks: list[Talk], after_bytes: int
) -> None:
    """The cut falls into the loader's line, the facts, and the middle of followed records."""
    bench.device = replace(bench.device, recovery=Recovery(connect_retries=4))
    talk = Talk(bench, [Cut(after_read_bytes=after_bytes), Cut(after_read_bytes=after_bytes + 700)])
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(bench.assignment(OK, trials=6))
    ended = talk.until(FollowEnded)
    assert ended.state == LogState.FINISHED
    assert finished(talk.events) == [f"j1.{n}" for n in range(1, 7)]
    assert talk.events[-1]["seq"] == ended.last_seq


def test_a_cut_upload_goes_on(bench: Bench, talks: list[Talk]) -> None:
    talk = Talk(bench, [Cut(after_written_bytes=5_000_000)])
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(bench.assignment(LARGE, trials=1))
    assert talk.until(FollowEnded).state == LogState.FINISHED
    assert finished(talk.events) == ["j1.1"]


LARGE = OK + "#" * 9_000_000
"""A program whose upload takes three messages."""


def test_an_upload_that_arrives_damaged_is_sent_again(bench: Bench, talks: list[Talk]) -> None:
    talk = Talk(bench, [Damage(after_written_bytes=5_000_000)])
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(bench.assignment(LARGE, trials=1))
    assert talk.until(FollowEnded).state == LogState.FINISHED
    assert finished(talk.events) == ["j1.1"]
    details = [report.detail for report in talk.reports if isinstance(report, StepBegan)]
    assert "program.sh arrived damaged and is sent again" in details
    assert details[-2:] == ["9.0 MB of 9.0 MB", ""]


def test_a_worker_that_arrives_damaged_is_sent_again(bench: Bench, talks: list[Talk]) -> None:
    talk = Talk(bench, [Damage(after_written_bytes=20_000)])
    talks.append(talk)
    assert talk.until(FactsReported).worker_sha256 == worker_archive()[1]


def test_an_upload_that_is_cut_after_damage_is_sent_again_too(bench: Bench, talks: list[Talk]) -> None:
    """The link drops once the damaged half is there: the rest follows, the whole is found out, and sent anew."""
    spoilt = bench.folder / "device" / "blobs"
    talk = Talk(bench)
    talks.append(talk)
    talk.until(FactsReported)
    assignment = bench.assignment(LARGE, trials=1)
    spoilt.mkdir(parents=True)
    (spoilt / f"{assignment.blobs[-1].sha256}.partial").write_bytes(b"!" * 5_000_000)
    talk.post(assignment)
    assert talk.until(FollowEnded).state == LogState.FINISHED
    assert finished(talk.events) == ["j1.1"]


def test_an_upload_that_arrives_damaged_twice_fails_with_the_files_name(
    bench: Bench, talks: list[Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = bench.assignment(OK, trials=1)
    spoilt = bench.folder / "spoilt"
    spoilt.write_bytes(bytes(assignment.blobs[-1].size))
    path = bench.cache.path
    monkeypatch.setattr(bench.cache, "path", lambda blob: spoilt if blob.name == "program.sh" else path(blob))
    talk = Talk(bench)
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(assignment)
    error = talk.until(SessionEnded).error
    assert isinstance(error, BlobDamaged)
    assert str(error) == "board: upload: program.sh arrived with another SHA-256, twice"
    assert error.hint == "check the device's disk and memory, then resume the run"


def test_a_link_that_falls_silent_is_given_up_and_sought_again(bench: Bench, talks: list[Talk]) -> None:
    # Behind the facts, which are some 3 kB: within the log, whose following has a sign of life to miss.
    talk = Talk(bench, [Silence(after_read_bytes=5_000)], LinkPolicy(losses_max=6, heartbeat_s=0.3))
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(bench.assignment("sleep 2\n" + OK, trials=2))
    assert talk.until(FollowEnded).state == LogState.FINISHED
    assert finished(talk.events) == ["j1.1", "j1.2"]


def test_cancel_ends_a_hanging_trial_and_keeps_what_is_finished(bench: Bench, talks: list[Talk]) -> None:
    gate = bench.folder / "second"
    program = f"if [ -e {gate} ]; then exec sleep 600; fi\ntouch {gate}\n" + OK
    talk = Talk(bench)
    talks.append(talk)
    talk.until(FactsReported)
    talk.post(bench.assignment(program))
    while finished(talk.events) != ["j1.1"]:
        talk.until(RecordsArrived)
    talk.end()
    talk = Talk(bench)
    talks.append(talk)
    talk.until(FactsReported)
    began = time.monotonic()
    talk.post(Cancel("run-1"))
    talk.post(Attachment("run-1"))
    ended = talk.until(FollowEnded)
    assert ended.state == LogState.FINISHED
    assert talk.events[-1]["outcome"] == RunOutcome.CANCELLED
    assert time.monotonic() - began < 10


def test_close_leaves_the_runner_running_and_another_session_picks_it_up(bench: Bench, talks: list[Talk]) -> None:
    gate = bench.folder / "gate"
    program = f"mkfifo {gate} 2>/dev/null\nread line < {gate}\n" + OK
    first = Talk(bench)
    talks.append(first)
    first.until(FactsReported)
    first.post(bench.assignment(program, trials=1))
    started = first.until(PlanStarted)
    first.until(RecordsArrived)
    first.end()

    second = Talk(bench)
    talks.append(second)
    second.until(FactsReported)
    second.post(Attachment("run-1", started.log_id, after_seq=1))
    second.until(RecordsArrived)
    threading.Thread(target=gate.write_text, args=("go\n",)).start()
    assert second.until(FollowEnded).state == LogState.FINISHED
    assert finished(second.events) == ["j1.1"]
    assert second.events[0]["seq"] == 2


def test_a_device_that_is_never_reached_is_reported_at_once(bench: Bench, talks: list[Talk]) -> None:
    talk = Talk(bench, [Refusal(Unreachable("no route", "is it on?"))])
    talks.append(talk)
    error = talk.until(SessionEnded).error
    assert isinstance(error, Unreachable)
    assert str(error) == "board: connect: no route"


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("/nowhere/python3", "no /nowhere/python3"),
        ("/bin/false", "ended with 1"),
        ("/etc/passwd", "/etc/passwd cannot be run"),
    ],
)
def test_a_device_without_a_fit_python_says_so(tmp_path: Path, talks: list[Talk], python: str, words: str) -> None:
    bench = Bench(tmp_path)
    bench.device = Device("board", TransportKind.LOCAL, python=python, state_dir=str(tmp_path / "device"))
    talk = Talk(bench)
    talks.append(talk)
    error = talk.until(SessionEnded).error
    assert words in str(error)
    assert "start worker" in str(error)


def test_an_old_python_is_refused_by_its_version(tmp_path: Path, talks: list[Talk]) -> None:
    fake = tmp_path / "python2"
    fake.write_text('#!/bin/sh\necho \'benchfleet-loader {"python": "3.6.15", "have": false, "state_dir": "/x"}\'\n')
    fake.chmod(0o755)
    bench = Bench(tmp_path)
    bench.device = Device("board", TransportKind.LOCAL, python=str(fake), state_dir=str(tmp_path / "device"))
    talk = Talk(bench)
    talks.append(talk)
    error = talk.until(SessionEnded).error
    assert isinstance(error, NoPython)
    assert "Python 3.6.15" in str(error)
    assert error.hint


def hold(bench: Bench, faults: Sequence[Fault], *commands: Command) -> DeviceError | None:
    """Hold a session to whatever end these commands, or their absence, bring it to."""
    talk = Talk(bench, faults, LinkPolicy(losses_max=2, heartbeat_s=0.5))
    for command in commands:
        talk.post(command)
    try:
        while True:
            report = talk.arriving.get(timeout=WAIT_S)
            if isinstance(report, FollowEnded):
                talk.post(Forget(report.run, report.log_id or "", report.last_seq or 0))
            if isinstance(report, SessionEnded):
                return report.error
    finally:
        talk.end()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_session_closes_what_it_opened_however_it_ends(bench: Bench) -> None:
    """Told to, when its run is over, when its link is cut for good, and on a device without a worker."""
    whole = bench.assignment(OK, trials=1)
    bare = Device("board", TransportKind.LOCAL, python="/bin/false", state_dir=str(bench.folder / "device"))
    bench.device = replace(bench.device, recovery=Recovery(reconnect_s_max=0))
    hold(bench, (), Close())
    before = open_files()
    for _ in range(3):
        assert hold(bench, (), whole) is None
        assert isinstance(hold(bench, [Cut(3_000)], whole), LinkLost)
        bench.device, kept = bare, bench.device
        assert isinstance(hold(bench, ()), WorkerFailed)
        bench.device = kept
    assert bench.connector.made >= 9
    assert bench.connector.open == set()
    assert open_files() == before
