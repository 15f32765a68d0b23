"""Where blobs come from and how a runtime becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from orchestrator.domain.blob import Blob
from orchestrator.domain.facts import Platform
from orchestrator.domain.plan import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSpec


@runtime_checkable
class BlobSource(Protocol):
    """Hands out blobs by content; picklable."""

    def path(self, blob: Blob) -> Path:
        """Return a local file with exactly this content; raise BlobError if there is none."""


@runtime_checkable
class RuntimeResolver(Protocol):
    """Turns a pinned runtime into a bundle for one platform."""

    def offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        """Return the bundle, or why this platform cannot have it ("no wheel of …"); safe to call from many threads.

        A runtime of the device's own or of the user's has no bundle and is always available. Raise BundleError where
        nobody can know (no network) and where the request itself is wrong (no such version).
        """
