"""Read back what a shipped plan says, when only its bytes are left."""

from __future__ import annotations

import json
from collections.abc import Collection

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.plan import PROCESS_START_S, TrialKind, estimate_s


def planned_trials(document: bytes) -> frozenset[str]:
    """Return the keys of every trial of a plan."""
    return frozenset(trial["trial"] for trial in json.loads(document)["trials"])


def planned_blobs(document: bytes) -> tuple[Blob, ...]:
    """Return every blob that a plan needs."""
    blobs = json.loads(document)["blobs"]
    return tuple(Blob(b["sha256"], b["size"], BlobKind(b["kind"]), b["sha256"][:12]) for b in blobs)


def remaining_s(document: bytes, done: Collection[str]) -> float:
    """Return about how long a plan takes on its device, but for the trials that are done."""
    plan = json.loads(document)
    kinds = [trial["kind"] for trial in plan["trials"] if trial["trial"] not in done]
    preflights = kinds.count(TrialKind.PREFLIGHT.value)
    measure = plan["measure"]
    return estimate_s(preflights, len(kinds) - preflights, measure["warmup_seconds_min"] + measure["seconds_min"])


def longest_s(document: bytes, done: Collection[str]) -> float:
    """Return how long the trials that are not done may take by the plan's own rules; cooling and retries come on top.

    A slow model needs `runs_min` of its latency rather than `seconds_min`; but warm-up and measurement each end after
    `seconds_max`, and the process at its timeout.
    """
    plan = json.loads(document)
    trials = sum(trial["trial"] not in done for trial in plan["trials"])
    longest_trial_s = PROCESS_START_S + 2 * plan["measure"]["seconds_max"]
    return float(trials * min(plan["limits"]["trial_timeout_s"], longest_trial_s))
