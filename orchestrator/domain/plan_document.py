"""Read back what a shipped plan says, when only its bytes are left."""

from __future__ import annotations

import json

from orchestrator.domain.blob import Blob, BlobKind


def planned_trials(document: bytes) -> frozenset[str]:
    """Return the keys of every trial of a plan."""
    return frozenset(trial["trial"] for trial in json.loads(document)["trials"])


def planned_blobs(document: bytes) -> tuple[Blob, ...]:
    """Return every blob that a plan needs."""
    blobs = json.loads(document)["blobs"]
    return tuple(Blob(b["sha256"], b["size"], BlobKind(b["kind"]), b["sha256"][:12]) for b in blobs)
