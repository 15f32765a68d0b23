"""Which fault strikes at which phase: every combination that makes sense, in a seeded order, one a history."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where in a device's run the fault strikes."""

    CONNECT = "connect"
    WORKER_UPLOAD = "worker upload"
    PROBE = "probe"
    BLOB_UPLOAD = "blob upload"
    PLAN_HAND_OVER = "plan hand-over"
    RUNNER_START = "runner start"
    MID_TRIAL = "mid-trial"
    BETWEEN_TRIALS = "between trials"
    FOLLOW = "follow"
    INGEST_COMMIT = "ingest commit"
    FINISH = "finish"
    ACKNOWLEDGE = "acknowledge"
    TRIM = "trim"
    CANCEL = "cancel"


class Fault(StrEnum):
    """What goes wrong."""

    TCP_RESET = "TCP reset"
    PACKET_LOSS = "silent packet loss"
    FREEZE = "freeze"
    SSHD_RESTART = "sshd restarted"
    POWER_CUT = "power cut"
    RUNNER_KILLED = "runner killed"
    TRIAL_KILLED = "trial killed"
    DISK_FULL = "device disk full"
    READ_ONLY = "device read-only"
    CLOCK_JUMP = "device clock jump"
    CONTROLLER_KILLED = "controller killed"
    DATABASE_LOCKED = "database locked"
    DATABASE_GONE = "database gone"
    DATABASE_FULL = "database disk full"
    GATEWAY_KILLED = "gateway killed"
    DAEMON_KILLED = "daemon killed"
    """The run is submitted, and a daemon is the controller."""
    SENSOR_HANGS = "sensor hangs"
    SURVIVOR = "survivor of another user"
    DRIP = "device drips"
    FLOOD = "device floods"


class Rival(StrEnum):
    """Who else wants the devices meanwhile."""

    NONE = "none"
    OTHER_RUN = "other run"
    """A second controller with another run of the same devices and database."""
    SAME_RUN = "same run"
    """A second controller that resumes the run."""
    TWIN = "twin"
    """No second controller, but the run has the machine under two names."""
    OTHER_NAME = "other name"
    """A second controller with the same database, and another name and state folder of the machine."""
    OTHER_DATABASE = "other database"
    """A second controller with a database of its own, and the same state folder."""
    OTHER_USER = "other user"
    """A second controller with a database of its own, and the state folder of another user of the machine."""
    OTHER_DAEMON = "other daemon"
    """A second daemon of the queue, which takes the run over by itself."""


ONLY_OF_DAEMONS = (Rival.OTHER_DAEMON,)


_WITH_RUNNER = (
    Phase.RUNNER_START,
    Phase.MID_TRIAL,
    Phase.BETWEEN_TRIALS,
    Phase.FOLLOW,
    Phase.INGEST_COMMIT,
    Phase.FINISH,
    Phase.CANCEL,
)
_WITH_TRIAL = (Phase.MID_TRIAL, Phase.FOLLOW, Phase.INGEST_COMMIT, Phase.CANCEL)
_BEFORE_A_TRIAL = (
    Phase.PROBE,
    Phase.PLAN_HAND_OVER,
    Phase.RUNNER_START,
    Phase.MID_TRIAL,
    Phase.BETWEEN_TRIALS,
    Phase.INGEST_COMMIT,
)
_WHERE_SENSORS_ARE_READ = (Phase.CONNECT, Phase.WORKER_UPLOAD, *_BEFORE_A_TRIAL, Phase.FOLLOW, Phase.CANCEL)
_BY_GATEWAY = (Phase.BLOB_UPLOAD, Phase.MID_TRIAL, Phase.FOLLOW, Phase.ACKNOWLEDGE)
_PHASES: dict[Fault, tuple[Phase, ...]] = {
    Fault.RUNNER_KILLED: _WITH_RUNNER,
    Fault.TRIAL_KILLED: _WITH_TRIAL,
    Fault.GATEWAY_KILLED: _BY_GATEWAY,
    Fault.DAEMON_KILLED: tuple(phase for phase in Phase if phase is not Phase.CANCEL),
    Fault.SENSOR_HANGS: _WHERE_SENSORS_ARE_READ,
    Fault.SURVIVOR: _BEFORE_A_TRIAL,
    Fault.FLOOD: (*_BEFORE_A_TRIAL, Phase.FOLLOW, Phase.FINISH, Phase.CANCEL),
}
_EVERY_SO_MANY = 60
"""A Ray cluster takes ten seconds to start: one history in so many has one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One history: all its chances are drawn from `seed` and `index`."""

    seed: int
    index: int
    phase: Phase
    fault: Fault
    rival: Rival

    def chances(self) -> random.Random:
        """Return the source of everything that the case leaves open: bytes, trials, moments."""
        return random.Random(f"{self.seed}.{self.index}")


def combinations() -> list[tuple[Phase, Fault]]:
    """Return what makes sense: a fault of a runner only where there is one, and so on."""
    return [(phase, fault) for fault in Fault for phase in _PHASES.get(fault, tuple(Phase))]


def cases(seed: int, left_out: frozenset[Fault] = frozenset()) -> Iterator[Case]:
    """Yield histories without end: every combination once in each round, neighbours as different as can be."""
    shuffled = random.Random(seed)
    index = 0
    while True:
        usual = _spread([pair for pair in combinations() if pair[1] is not Fault.GATEWAY_KILLED], shuffled)
        rare = _spread([pair for pair in combinations() if pair[1] is Fault.GATEWAY_KILLED], shuffled)
        for phase, fault in usual:
            if index % _EVERY_SO_MANY == _EVERY_SO_MANY - 1 and rare:
                yield from _unless(left_out, Case(seed, index, *rare.pop(0), Rival.NONE))
                index += 1
            yield from _unless(left_out, Case(seed, index, phase, fault, _rival(phase, fault, shuffled)))
            index += 1


def case_at(seed: int, index: int) -> Case:
    """Return one history of a seed again."""
    return next(case for case in cases(seed) if case.index == index)


def _unless(left_out: frozenset[Fault], case: Case) -> Iterator[Case]:
    if case.fault not in left_out:
        yield case


def _spread(pairs: list[tuple[Phase, Fault]], shuffled: random.Random) -> list[tuple[Phase, Fault]]:
    """Shuffle so that the first histories have a fault and a phase each, before any comes again."""
    shuffled.shuffle(pairs)
    faults: Counter[Fault] = Counter()
    phases: Counter[Phase] = Counter()
    order = []
    while pairs:
        pair = min(pairs, key=lambda pair: faults[pair[1]] + phases[pair[0]])
        pairs.remove(pair)
        faults[pair[1]] += 1
        phases[pair[0]] += 1
        order.append(pair)
    return order


def _rival(phase: Phase, fault: Fault, shuffled: random.Random) -> Rival:
    """Draw who else wants the devices: nobody, often; exact bytes and locks want the first one alone."""
    usual = [rival for rival in Rival if rival not in ONLY_OF_DAEMONS]
    drawn = shuffled.choice((Rival.NONE, Rival.NONE, *usual))
    if fault is Fault.DAEMON_KILLED:
        drawn = shuffled.choice((Rival.NONE, *ONLY_OF_DAEMONS))
    alone = phase in (Phase.CONNECT, Phase.WORKER_UPLOAD, Phase.PROBE, Phase.BLOB_UPLOAD, Phase.PLAN_HAND_OVER)
    return Rival.NONE if alone and drawn in (Rival.SAME_RUN, *ONLY_OF_DAEMONS) else drawn
