"""Define the source of blobs, and the resolver from a runtime to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from orchestrator.domain.blob import Blob
from orchestrator.domain.facts import Platform
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSpec


@runtime_checkable
class BlobSource(Protocol):
    """Hand out blobs by content. Implementations are picklable, because sessions on gateways read blobs too."""

    def path(self, blob: Blob) -> Path:
        """Return a local file with exactly the blob's content. Raise BlobError if there is none."""


@runtime_checkable
class RuntimeResolver(Protocol):
    """Resolve a pinned runtime to a bundle for one platform."""

    def offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        """Return the bundle of a runtime, or the reason why the platform cannot have one ("no wheel of …").

        Safe to call from many threads. A runtime already on the device, or provided by the user, has no bundle and is
        always available. Raise BundleError if the answer cannot be known (no network) or the request is wrong (no such
        version).
        """


class BundleTaker(Protocol):
    """Take bundles that another controller has packed."""

    def adopt(self, runtime: RuntimeSpec, platform: Platform, archive: Path) -> Blob:
        """Keep a bundle, and answer with it whoever wants the runtime for the platform.

        Raise BundleError for an archive that is no bundle, and for a platform that can have none.
        """
