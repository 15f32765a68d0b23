"""Judge a history: what the devices finished against what the database says, and who ran beside whom.

Pure, so that it can be shown histories in which something is wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.evidence import AttemptRow, Evidence
from tests.chaos.witness import Sighting

DONE = "measured"
EXPLAINED = ("failed", "skipped", "invalid")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a history, one line for each thing."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    overlapped: tuple[str, ...] = ()
    left_running: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.overlapped or self.left_running)


def judge(evidence: Evidence) -> Verdict:
    """Hold the promise against what happened."""
    return Verdict(
        lost=(*_lost_records(evidence), *_unlike_their_plan(evidence), *_unexplained(evidence), *_unfinished(evidence)),
        doubled=(*_counted_twice(evidence), *_stored_twice(evidence), *_not_from_a_device(evidence)),
        overlapped=tuple(_overlapping(evidence)),
        left_running=(
            *evidence.left_running,
            *(f"{place}: somebody holds its lock" for place in evidence.locked),
            *(f"a lease is held: {lease}" for lease in evidence.leases),
        ),
    )


def _by_record(evidence: Evidence) -> dict[tuple[str, str, str, int], list[AttemptRow]]:
    """Return the finished attempts of the database by the record that tells of them."""
    found: dict[tuple[str, str, str, int], list[AttemptRow]] = defaultdict(list)
    for row in evidence.attempts:
        if row.finished_seq is not None:
            found[row.run, row.device, row.log_id, row.finished_seq].append(row)
    return found


def _lost_records(evidence: Evidence) -> Iterator[str]:
    """Every trial that a device finished is in the database, as the device told it."""
    stored = _by_record(evidence)
    for record in evidence.finished:
        name = f"{record.device}: {record.trial} of {record.run}, record {record.seq} of log {record.log_id}"
        rows = stored.get((record.run, record.device, record.log_id, record.seq), [])
        if not rows:
            yield f"{name} is not in the database"
        elif record.outcome == "ok" and not any(
            (row.trial, row.outcome, row.number) == (record.trial, record.outcome, record.number) for row in rows
        ):
            yield f"{name} is in the database with other values: {rows}"
    usable = {(r.run, r.device, r.trial) for r in evidence.finished if r.outcome == "ok" and not r.invalid}
    counted = {(row.run, row.device, row.trial) for row in evidence.attempts if row.counted}
    for run, device, trial in sorted(usable - counted):
        yield f"{device}: {trial} of {run} was measured and does not count"


def _unlike_their_plan(evidence: Evidence) -> Iterator[str]:
    rows: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in evidence.trials:
        rows[row.run, row.device].add(row.trial)
    for part in evidence.run_devices:
        for trial in sorted(set(part.planned) ^ rows[part.run, part.device]):
            yield f"{part.device}: {trial} of {part.run} is in the plan or in the database, not in both"


def _unexplained(evidence: Evidence) -> Iterator[str]:
    """Everything was put right and resumed: what has no result then needs a reason of its own, or was cancelled."""
    cancelled = {(p.run, p.device) for p in evidence.run_devices if p.state == "cancelled"}
    cancelled = {key for key in cancelled if key[0] in evidence.cancelled_runs}
    for part in evidence.run_devices:
        if not part.planned and (part.run, part.device) not in cancelled:
            yield f"{part.device}: no plan of {part.run}, which is {part.state}: {part.error}"
    for row in evidence.trials:
        if row.state == DONE or (row.state in EXPLAINED and row.reason) or (row.run, row.device) in cancelled:
            continue
        yield f"{row.device}: {row.trial} of {row.run} is {row.state}, without a reason"


def _unfinished(evidence: Evidence) -> Iterator[str]:
    """Yield what was submitted and did not end: a run that was never begun has no trials that could be missed."""
    begun = {part.run for part in evidence.run_devices}
    for one in evidence.submissions:
        if one.state != "ended" or one.error:
            yield f"{one.run} was submitted, and is {one.state}: {one.error}"
        elif one.run not in begun:
            yield f"{one.run} was submitted, and has no devices"


def _counted_twice(evidence: Evidence) -> Iterator[str]:
    counted = Counter((row.run, row.device, row.trial) for row in evidence.attempts if row.counted)
    for (run, device, trial), times in counted.items():
        if times > 1:
            yield f"{device}: {trial} of {run} counts {times} times"
    numbers = Counter((row.device, row.number) for row in evidence.attempts if row.number is not None)
    for (device, number), times in numbers.items():
        if times > 1:
            yield f"{device}: the trial process with the number {number} is in the database {times} times"


def _stored_twice(evidence: Evidence) -> Iterator[str]:
    for (run, device, log_id, seq), rows in _by_record(evidence).items():
        if len(rows) > 1:
            yield f"{device}: record {seq} of log {log_id} of {run} is in the database {len(rows)} times"


def _not_from_a_device(evidence: Evidence) -> Iterator[str]:
    """Every result in the database was written by a device, and its trial process was seen to end."""
    records = {(found.run, found.device, found.log_id, found.seq) for found in evidence.finished}
    ended = {(seen.device, seen.run, seen.trial, seen.number) for seen in evidence.sightings if seen.ended}
    for key, rows in _by_record(evidence).items():
        if key not in records:
            yield f"{key[1]}: record {key[3]} of log {key[2]} of {key[0]} is in the database, and in no log"
        for row in rows:
            if row.counted and (row.device, row.run, row.trial, row.number) not in ended:
                yield f"{row.device}: {row.trial} of {row.run} counts, and nobody saw its process end"


def _overlapping(evidence: Evidence) -> Iterator[str]:
    latest: dict[str, Sighting] = {}
    for seen in sorted(evidence.sightings, key=lambda seen: seen.begin_ns):
        before = latest.get(seen.machine)
        if before is not None and seen.begin_ns <= before.last_ns:
            yield (
                f"{seen.machine}: {seen.trial} of {seen.run} on {seen.device} (process {seen.pid}) began before"
                f" {before.trial} of {before.run} on {before.device} (process {before.pid}) was gone"
            )
        if before is None or seen.last_ns > before.last_ns:
            latest[seen.machine] = seen
