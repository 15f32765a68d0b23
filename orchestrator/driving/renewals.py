"""Renew the leases of a driver in a separate thread: no work of the driver lets a lease run out.

The thread writes through a separate connection. A renewal extends open leases alone: the lease of a device given to
another controller has ended, and stays so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.domain.errors import LeaseLost, StoreError
from orchestrator.store.base import Leases

RENEWALS_PER_LEASE = 3
JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Renewed:
    """Tell of a renewal: the leases lost by the id of each lease, or the error of a database out of reach.

    An error is told once the leases have run out meanwhile: until then the next renewal may succeed.
    """

    lost: Mapping[int, LeaseLost]
    error: Exception | None = None


class Renewals:
    """Renew the leases in `held` (ids by device) until closed. `tell` is called in the thread of the renewals."""

    def __init__(
        self, records: Leases, held: Mapping[str, int], lease_s: float, tell: Callable[[Renewed], None]
    ) -> None:
        self._records = records
        self._held = held
        self._lease_s = lease_s
        self._tell = tell
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread, unless started."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="renew leases", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread, and wait for a renewal under way for a while: a database may not answer."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    @contextmanager
    def none_under_way(self) -> Iterator[None]:
        """Keep renewals from running: a renewal begun earlier would shorten a lease about to be lengthened."""
        with self._writing:
            yield

    def _run(self) -> None:
        renewed_at = time.monotonic()
        while not self._closed.wait(self._lease_s / RENEWALS_PER_LEASE):
            began = time.monotonic()
            try:
                lost = self._renew()
            except StoreError as error:
                if time.monotonic() - renewed_at >= self._lease_s:
                    self._tell(Renewed({}, error))
                    return
                continue
            except Exception as error:  # noqa: BLE001 a defect: without a word, the leases would run out unseen
                self._tell(Renewed({}, error))
                return
            renewed_at = began
            self._tell(Renewed(lost))

    def _renew(self) -> Mapping[int, LeaseLost]:
        with self._writing:
            held = dict(self._held)  # a copy, since the driver gets and ends leases meanwhile
            if not held:
                return {}
            lost = self._records.renew_leases(dict.fromkeys(held.values(), self._lease_s))
        return {held[one.device]: one for one in lost if one.device in held}
