"""Extend a device's plan by trials of the plan's cells.

The new plan is the old plan with more trials at the end, and `extends` names the old plan. The old plan can be read
back byte for byte, and logs by the old plan are logs of the new plan too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.plan.document import canonical
from orchestrator.domain.plan.order import lot
from orchestrator.domain.plan.values import Trial, TrialKind


@dataclass(frozen=True, slots=True)
class Extension:
    """Hold an extension of a plan: the hash of the plan before, and the keys of the added trials.

    `number` is the same on all devices extended by a command, and grows from command to command.
    """

    number: int
    extended_sha256: str
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtendedPlan:
    """Hold a device's extended plan. `extended_sha256` names the plan before, and `added` are the new trials."""

    device: str
    extended_sha256: str
    added: tuple[Trial, ...]
    first_position: int
    document: bytes
    sha256: str


def extend_plan(document: bytes, device: str, more: Mapping[str, int], number: int) -> ExtendedPlan:
    """Return a device's plan with `more` further trials of each job, by the job's key.

    The new trials are interleaved among themselves: every cell once before any cell twice. The numbers of the trials go
    on from the plan's last number.
    """
    plan = json.loads(document)
    before = len(plan["trials"])
    added = _further_trials(plan, more)
    extended_sha256 = hashlib.sha256(document).hexdigest()
    plan["extends"] = [
        *plan.get("extends", []),
        {"number": number, "plan_sha256": extended_sha256, "trials": before},
    ]
    plan["trials"] += [
        {"trial": trial.key, "job": trial.job, "kind": trial.kind.value, "index": trial.index} for trial in added
    ]
    written = canonical(plan)
    return ExtendedPlan(device, extended_sha256, added, before, written, hashlib.sha256(written).hexdigest())


def extensions(document: bytes) -> tuple[Extension, ...]:
    """Return the extensions of a plan, the oldest first. An original plan has no extension."""
    plan = json.loads(document)
    trials, entries = plan["trials"], plan.get("extends", [])
    ends = [entry["trials"] for entry in entries[1:]] + [len(trials)] * bool(entries)
    return tuple(
        Extension(
            entry["number"],
            entry["plan_sha256"],
            tuple(trial["trial"] for trial in trials[entry["trials"] : end]),
        )
        for entry, end in zip(entries, ends, strict=True)
    )


def planned_per_job(document: bytes) -> Mapping[str, int]:
    """Return the number of measure trials of each job, by the job's key."""
    plan = json.loads(document)
    counts = Counter(trial["job"] for trial in plan["trials"] if trial["kind"] == TrialKind.MEASURE.value)
    return {job["job"]: counts[job["job"]] for job in plan["jobs"]}


def _further_trials(plan: Mapping[str, Any], more: Mapping[str, int]) -> tuple[Trial, ...]:
    last: dict[str, int] = {}
    for trial in plan["trials"]:
        last[trial["job"]] = max(last.get(trial["job"], 0), trial["index"])
    rounds: Sequence[int] = range(1, max(more.values(), default=0) + 1)
    added = []
    for turn in rounds:
        indices = {job: last.get(job, 0) + turn for job, count in more.items() if turn <= count}
        # By the plan's own seed and device, as the plan itself was drawn: a repeated command writes the same bytes.
        for job in sorted(indices, key=lambda job: lot(plan["seed"], plan["device"], indices[job], job)):
            added.append(Trial(f"{job}.{indices[job]}", job, TrialKind.MEASURE, indices[job]))
    return tuple(added)
