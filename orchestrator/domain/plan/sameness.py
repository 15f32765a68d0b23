"""Say what a job of a plan measures, by the bytes alone: equal fingerprints are results of one and the same thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.domain.plan.document import canonical
from orchestrator.domain.runtimes import AUTO

_ASKED = ("scenario", "streams", "rate_per_s", "p99_ns_max")
"""How queries come: another scenario has other metrics. How long a trial takes is no part of what is measured."""


def fingerprints(document: bytes) -> Mapping[str, str]:
    """Return by the key of a job the hash of all that its figures are of.

    That is the artifact, the data set, the packages and files of the runtime, its command, the settings, the inputs,
    the environment and the scenario. A job whose software the plan cannot tell has none: an installation of the
    device's own, or a server that runs elsewhere.
    """
    plan = json.loads(document)
    measure = plan["measure"]
    around = [plan.get("environment"), {key: measure[key] for key in _ASKED if key in measure}]
    return {
        job["job"]: hashlib.sha256(canonical([_bytes_of(job), around])).hexdigest()
        for job in plan["jobs"]
        if _is_told(job)
    }


def _is_told(job: Mapping[str, Any]) -> bool:
    # Either may be upgraded with nothing changed in the plan.
    return job["module"] != AUTO and "url" not in job.get("endpoint", {})


def _bytes_of(job: Mapping[str, Any]) -> Mapping[str, Any]:
    # The label names the model in sweeps of several alone, and a file may have another name in another folder.
    told = {key: value for key, value in job.items() if key != "label"}
    return told | {key: job[key] and job[key]["sha256"] for key in ("model", "dataset")}
