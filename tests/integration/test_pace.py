"""A device over a real sshd that answers, and does not get on: each session with it ends in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator.domain.conversation import FactsReported, FollowEnded, RecordsArrived, SessionEnded
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import DeviceError, LinkLost, NoProgress, WorkerFailed
from orchestrator.domain.log_bounds import LogBounds
from orchestrator.session import worker_client
from orchestrator.session.link import LinkPolicy
from orchestrator.session.waiting import AnswerTime
from orchestrator.transport.ssh import SshConnector
from tests.integration.session_bench import OK, WAIT_S, Bench, Talk
from tests.servers.processes import wait_until
from tests.servers.spoiled_python import SpoiledPython
from tests.servers.sshd import SshServer

ANSWER_S = 2.0
SILENCE_S = 3.0
BUSY_MACHINE_S = 10.0
HASTY = LinkPolicy(losses_max=0, heartbeat_s=0.5)
FORGIVING = LinkPolicy(losses_max=1000, heartbeat_s=0.5)
ANSWERS = ("loader", "hello", "facts", "blobs", "blob-put", "start", "records")


@dataclass(frozen=True)
class Board:
    """A device whose interpreter can be spoilt."""

    bench: Bench
    connector: SshConnector
    python: SpoiledPython
    talks: list[Talk]

    def talk(self, policy: LinkPolicy = HASTY) -> Talk:
        self.talks.append(Talk(self.bench, policy=policy, reach=self.connector))
        return self.talks[-1]


@pytest.fixture
def board(ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(ssh_server.known_hosts_line + "\n")
    python = SpoiledPython(tmp_path / "python")
    bench = Bench(tmp_path)
    bench.device = Device(
        "board",
        TransportKind.SSH,
        ssh_server.host,
        ssh_server.port,
        ssh_server.user,
        str(ssh_server.identity_file),
        python=str(python.path),
        state_dir=str(tmp_path / "device"),
    )
    made = Board(bench, SshConnector(known_hosts, connect_timeout_s=5.0, end_timeout_s=0.4), python, [])
    yield made
    python.heal()
    for talk in made.talks:
        talk.end()


def error_of(talk: Talk) -> tuple[DeviceError | None, float]:
    """Return the error of the session's end, and the seconds until then."""
    began = time.monotonic()
    return talk.until(SessionEnded).error, time.monotonic() - began


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_drips_is_given_up_in_time(board: Board, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    board.python.spoil(f"drip:{answer}")
    monkeypatch.setattr(worker_client, "AnswerTime", lambda timeout_s: AnswerTime(min(timeout_s, ANSWER_S)))
    talk = board.talk()
    talk.post(board.bench.assignment(OK))

    error, took_s = error_of(talk)
    assert isinstance(error, LinkLost)
    assert "no whole answer came within" in error.message
    assert took_s < len(ANSWERS) * ANSWER_S + BUSY_MACHINE_S


@pytest.mark.parametrize("policy", [HASTY, FORGIVING], ids=["one link", "many links"])
def test_a_runner_that_stands_still_ends_the_session(board: Board, policy: LinkPolicy) -> None:
    talk = board.talk(policy)
    talk.until(FactsReported)
    board.python.spoil("stand-still" if policy is HASTY else "drip:records")
    talk.post(replace(board.bench.assignment(OK), bounds=LogBounds(silence_s_max=SILENCE_S)))

    error, took_s = error_of(talk)
    assert isinstance(error, NoProgress)
    assert error.message.startswith("no record for ")
    assert SILENCE_S <= took_s < SILENCE_S + BUSY_MACHINE_S


def test_a_trial_as_long_as_its_plan_allows_is_no_standing_still(board: Board, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program = f"while [ ! -e {gate} ]; do sleep 0.05; done\n"
    talk = board.talk()
    talk.until(FactsReported)
    talk.post(replace(board.bench.assignment(program + OK, trials=1), bounds=LogBounds(silence_s_max=60.0)))
    while len(talk.events) < 3:  # until the trial has begun
        talk.until(RecordsArrived)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 6 * HASTY.heartbeat_s, "signs of life came", WAIT_S)
    gate.touch()
    assert talk.until(FollowEnded).last_seq == 5


@pytest.mark.parametrize(
    ("way", "kind", "words"),
    [
        ("flood-signs", NoProgress, "signs of life without a record"),
        ("flood-again", WorkerFailed, "its log has more than the 100 records that the plan can bring"),
    ],
)
def test_a_flood_without_anything_new_ends_the_session_at_once(
    board: Board, way: str, kind: type[DeviceError], words: str
) -> None:
    talk = board.talk()
    talk.until(FactsReported)
    board.python.spoil(way)
    talk.post(replace(board.bench.assignment(OK), bounds=LogBounds(3600.0, 100)))

    error, took_s = error_of(talk)
    assert isinstance(error, kind)
    assert words in error.message
    assert took_s < BUSY_MACHINE_S


def test_a_device_that_gets_on_again_is_followed_to_the_end(board: Board) -> None:
    talk = board.talk()
    talk.until(FactsReported)
    board.python.spoil("stand-still")
    talk.post(replace(board.bench.assignment(OK), bounds=LogBounds(silence_s_max=60.0)))
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 4 * HASTY.heartbeat_s, "signs of life came", WAIT_S)
    board.python.heal()
    assert talk.until(FollowEnded).last_seq
