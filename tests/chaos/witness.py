"""What trials themselves say of when they ran: a file outside the state folder that each of them appends to.

A trial reports the offset of its own first line in that file as its metric, so that every number is known, and is
written by one process alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

METRIC = "witness_offset"

_PROGRAM = """\
import json, os, sys, time

def say(kind):
    stamp = {"kind": kind, "pid": pid, "trial": trial, "run": run, "mono_ns": time.monotonic_ns()}
    os.write(fd, json.dumps(stamp).encode() + b"\\n")
    return os.lseek(fd, 0, os.SEEK_CUR)

state_dir, _, rest = os.getcwd().partition("/runs/")
run, trial, pid = rest.split("/")[0], os.environ["BENCHFLEET_TRIAL"], os.getpid()
fd = os.open(os.path.dirname(os.path.dirname(state_dir)) + "/witness", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
number = say("begin")
if %(lingers)r and os.fork() == 0:  # a helper that lets go of its parent, as careless programs have
    os.setsid()
    while True:
        time.sleep(0.02)
        say("alive")
seconds = %(trials_s)r
last = time.monotonic() + seconds[int(trial.rpartition(".")[2]) - 1]
while time.monotonic() < last:
    time.sleep(min(0.02, max(0.0, last - time.monotonic())))
    say("alive")
print(json.dumps({"runtime": {"name": "witness", "version": "1"}}))
print(json.dumps({"metric": "%(metric)s", "value": number}))
print(json.dumps({"metric": "latency_ns", "samples": [1000, 1100, 1200, 1300, 1400, 1500, 1600, number]}))
print(json.dumps({"done": True}))
sys.stdout.flush()
say("end")
"""


def write_program(path: Path, trials_s: Sequence[float], *, lingers: bool = False) -> list[str]:
    """Write the program of trials that take so long each, and return the command of it as the sweep has it.

    One that lingers leaves a process behind that never ends by itself, and that counts as the trial's.
    """
    path.write_text(_PROGRAM % {"trials_s": list(trials_s), "lingers": lingers, "metric": METRIC})
    interpreter = getattr(sys, "_base_executable", sys.executable)  # the venv's own would cost another start
    return [str(interpreter), "-S", "-E", path.name]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One trial process as its own stamps show it: from its first to its last, on one clock for all processes."""

    device: str
    run: str
    trial: str
    pid: int
    number: int
    begin_ns: int
    last_ns: int
    ended: bool


def read_sightings(path: Path, device: str) -> list[Sighting]:
    """Return every trial process of a device in the order of their beginnings; a torn last line is left out."""
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
                device, stamp["run"], stamp["trial"], stamp["pid"], offset, stamp["mono_ns"], stamp["mono_ns"], False
            )
        else:
            seen = found[key]
            found[key] = Sighting(
                device, seen.run, seen.trial, seen.pid, seen.number, seen.begin_ns, stamp["mono_ns"],
                seen.ended or stamp["kind"] == "end",
            )  # fmt: skip
    return sorted([*done, *found.values()], key=lambda sighting: sighting.begin_ns)
