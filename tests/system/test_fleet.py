"""Fifty simulated devices, fifteen of them with faults, and the real command: each comes to what its fault leaves."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import Lab
from tests.servers.fleet import FleetServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

DEVICES = 50
TRIALS = 3
DROPPED, DEAD, SILENT = ("d-00", "d-01", "d-02"), ("d-10", "d-11", "d-12"), ("d-20", "d-21")
REFUSED, FAILING, DEADLY = ("d-30", "d-31", "d-32"), ("d-40", "d-41"), ("d-45", "d-46")
FAULTS: dict[str, dict[str, Any]] = {
    **{key: {"drops": [4, 6]} for key in DROPPED},
    **{key: {"deaths": [2]} for key in DEAD},
    **{key: {"silences": [5]} for key in SILENT},
    **{key: {"refused_logins": None} for key in REFUSED},
    **{key: {"failing": [2]} for key in FAILING},
    **{key: {"deaths": [1, 1, 1]} for key in DEADLY},
}
ATTEMPTS = "select device, result from v_attempt"


@dataclass(frozen=True)
class Outcome:
    """What the command has said, and what stands in its database."""

    exit_code: int
    document: dict[str, Any]
    attempts: Counter[tuple[str, str]]

    def part(self, device: str) -> dict[str, Any]:
        return next(one for one in self.document["record"]["devices"] if one["device"] == device)

    def rungs(self, device: str) -> list[tuple[str, bool]]:
        return [(one["rung"], one["succeeded"]) for one in self.document["recovery"] if one["device"] == device]

    def missing(self, device: str) -> list[str]:
        return [one["reason"] for one in self.document["missing"] if one["device"] == device]

    def counted(self, device: str) -> int:
        """Return how many trials have a result that counts."""
        values = [one["trial_values"] for one in self.document["results"] if one["cell"]["device"] == device]
        return sum(map(len, values))

    def tries(self, device: str) -> Counter[str]:
        """Return how many attempts ended in which way."""
        return Counter({result: count for (name, result), count in self.attempts.items() if name == device})


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("fleet")
    names = [f"d-{number:02}" for number in range(DEVICES)]
    with FleetServer(folder / "server", names, pace={"trial_s": 0.3}, faults=FAULTS) as fleet:
        lab = Lab(folder / "lab")
        lab.write("inventory.yaml", json.dumps({"devices": fleet.inventory()}))
        sweep = lab.write_exec_sweep(trials=TRIALS, retries={"failed": 1})
        environment = {"BENCHFLEET_KNOWN_HOSTS": str(fleet.known_hosts), "BENCHFLEET_HEARTBEAT_S": "2"}
        arguments = ("run", str(sweep), "--inventory", "inventory.yaml", "--json")
        ended = lab.run(*arguments, timeout_s=150, environment=environment)
        assert ended.stdout, ended.stderr
        with closing(sqlite3.connect(lab.database)) as database:
            attempts = Counter(database.execute(ATTEMPTS).fetchall())
        yield Outcome(ended.returncode, json.loads(ended.stdout), attempts)
        assert fleet.log_text() == ""


def test_the_command_says_that_the_run_is_incomplete(outcome: Outcome) -> None:
    assert outcome.exit_code == 3


def test_sound_devices_have_every_trial_once(outcome: Outcome) -> None:
    sound = sorted({f"d-{number:02}" for number in range(DEVICES)} - FAULTS.keys())
    assert len(sound) == 35
    assert {name: outcome.tries(name) for name in sound} == {key: Counter(counted=TRIALS) for key in sound}
    assert {name: outcome.part(name)["state"] for name in sound} == dict.fromkeys(sound, "complete")


def test_a_dropped_or_silent_link_loses_and_doubles_nothing(outcome: Outcome) -> None:
    for name in (*DROPPED, *SILENT):
        assert outcome.tries(name) == Counter(counted=TRIALS)
        assert outcome.counted(name) == TRIALS
        assert ("reconnect", True) in outcome.rungs(name)


def test_a_dead_runner_is_started_again_and_its_trial_repeated(outcome: Outcome) -> None:
    for name in DEAD:
        assert outcome.rungs(name)[-1] == ("restart", True)
        assert outcome.counted(name) == TRIALS
        assert outcome.tries(name)["counted"] == TRIALS
        assert outcome.missing(name) == []


def test_a_trial_that_kills_every_runner_fails_and_the_others_count(outcome: Outcome) -> None:
    for name in DEADLY:
        assert [rung for rung, _helped in outcome.rungs(name)].count("restart") == 3
        assert outcome.counted(name) == TRIALS - 1
        assert outcome.missing(name) == ["runner-died: a fault of the simulator"]


def test_a_refused_login_fails_its_device_alone_and_names_the_key(outcome: Outcome) -> None:
    for name in REFUSED:
        part = outcome.part(name)
        assert part["state"] == "failed"
        assert "refuses the keys offered" in part["error"]
        assert outcome.tries(name) == Counter()


def test_a_failing_trial_is_tried_as_often_as_the_sweep_allows(outcome: Outcome) -> None:
    for name in FAILING:
        assert outcome.tries(name) == Counter(counted=TRIALS - 1, failed=2)
        assert outcome.missing(name) == ["exit-code: a fault of the simulator"]
