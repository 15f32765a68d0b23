"""What trials themselves say of when they ran: a file of the machine, outside the state folders, that each appends to.

A trial reports the offset of its own first line in that file as its metric, so that every number is known, and is
written by one process alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.board import INTERPRETER

METRIC = "witness_offset"
SURVIVOR_UID = 65534
"""The user of a trial's process that outlives the trial, if it is told to."""

_PROGRAM = """\
import json, os, sys, time

def say(kind):
    stamp = {"kind": kind, "pid": pid, "trial": trial, "run": run, "place": place, "mono_ns": time.monotonic_ns()}
    os.write(fd, json.dumps(stamp).encode() + b"\\n")
    return os.lseek(fd, 0, os.SEEK_CUR)

state_dir, _, rest = os.getcwd().partition("/runs/")
run, trial, pid, place = rest.split("/")[0], os.environ["BENCHFLEET_TRIAL"], os.getpid(), os.path.basename(state_dir)
machine = os.path.dirname(os.path.dirname(state_dir))
fd = os.open(machine + "/witness", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
number = say("begin")
if os.path.exists(machine + "/survive") and os.fork() == 0:  # a program under sudo, which the runner may not kill
    os.setsid()
    with open(machine + "/survivors", "a") as told:
        told.write("%%d\\n" %% os.getpid())
    os.setresuid(*[%(survivor_uid)d] * 3)
    while True:
        time.sleep(%(stamp_s)r)
        say("alive")
if %(lingers)r and os.fork() == 0:  # a helper that lets go of its parent, as careless programs have
    os.setsid()
    while True:
        time.sleep(%(stamp_s)r)
        say("alive")
seconds = %(trials_s)r
last = time.monotonic() + seconds[int(trial.rpartition(".")[2]) - 1]
while time.monotonic() < last:
    time.sleep(min(%(stamp_s)r, max(0.0, last - time.monotonic())))
    say("alive")
print(json.dumps({"runtime": {"name": "witness", "version": "1"}}))
print(json.dumps({"metric": "%(metric)s", "value": number}))
print(json.dumps({"metric": "latency_ns", "samples": [1000, 1100, 1200, 1300, 1400, 1500, 1600, number]}))
print(json.dumps({"done": True}))
sys.stdout.flush()
say("end")
"""


def write_program(
    path: Path,
    trials_s: Sequence[float],
    interpreter: Path = INTERPRETER,
    *,
    lingers: bool = False,
    stamp_s: float = 0.02,
) -> list[str]:
    """Write the program of trials that take so long each, and return the command of it as the sweep has it.

    One that lingers leaves a process behind that never ends by itself, and that counts as the trial's. Each process
    says every `stamp_s` that it lives.
    """
    values = {"trials_s": list(trials_s), "lingers": lingers, "metric": METRIC, "survivor_uid": SURVIVOR_UID}
    values["stamp_s"] = stamp_s
    path.write_text(_PROGRAM % values)
    return [str(interpreter), "-S", "-E", path.name]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One trial process as its own stamps show it: from its first to its last, on one clock for all processes.

    `device` is the inventory's name of the state folder that the trial belongs to; a machine can have several.
    """

    machine: str
    device: str
    run: str
    trial: str
    pid: int
    number: int
    begin_ns: int
    last_ns: int
    ended: bool


def read_sightings(path: Path, machine: str, devices: Mapping[str, str]) -> list[Sighting]:
    """Return every trial process of a machine in the order of their beginnings; a torn last line is left out.

    `devices` has the inventory's name of each state folder.
    """
    found: dict[tuple[int, str, str], Sighting] = {}
    done: list[Sighting] = []
    offset = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        offset += len(line)
        if not line.endswith(b"\n"):
            break
        stamp = json.loads(line)
        key = (stamp["pid"], stamp["run"], stamp["trial"])
        if stamp["kind"] == "begin":
            if key in found:
                done.append(found.pop(key))
            found[key] = Sighting(
                machine, devices[stamp["place"]], stamp["run"], stamp["trial"], stamp["pid"], offset,
                stamp["mono_ns"], stamp["mono_ns"], False,
            )  # fmt: skip
        else:
            seen = found[key]
            found[key] = Sighting(
                machine, seen.device, seen.run, seen.trial, seen.pid, seen.number, seen.begin_ns, stamp["mono_ns"],
                seen.ended or stamp["kind"] == "end",
            )  # fmt: skip
    return sorted([*done, *found.values()], key=lambda sighting: sighting.begin_ns)
