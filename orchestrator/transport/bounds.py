"""Bound the number of turns at one place by the outcome of earlier turns."""

from __future__ import annotations

GAIN_MIN = 1.25
"""By what factor twice as many turns must bring devices in faster. Turns that share a full processor bring no gain."""


class Bound:
    """Bound an address: one more turn after each round of successes, half as many after a refusal."""

    def __init__(self, first: int, least: int = 1) -> None:
        self._limit = float(first)
        self._least = float(least)
        self._halved_at = float("-inf")

    @property
    def limit(self) -> int:
        """Return how many turns may go on at the same time now."""
        return int(self._limit)

    def succeeded(self, now: float) -> None:
        """Count a success. As many successes as the limit make the limit grow by one.

        Call this only while other turns wait: an unused limit proves nothing.
        """
        self._limit += 1 / self._limit

    def refused(self, began_at: float, now: float) -> None:
        """Halve the limit, unless the refused turn began before the last halving."""
        if began_at >= self._halved_at:
            self._limit = max(self._least, self._limit / 2)
            self._halved_at = now


class Pace(Bound):
    """Bound this machine: double the limit while devices come in faster for it, and then grow like an address.

    The first limit is also the least. A refusal comes from a server, and proves little about this machine.
    """

    def __init__(self, first: int) -> None:
        super().__init__(first, least=first)
        self._doubles = True
        self.restart(0.0)

    def restart(self, now: float) -> None:
        """Begin to measure anew, after a time without turns."""
        self._since, self._done, self._rate = now, 0, 0.0

    def succeeded(self, now: float) -> None:
        """Count a device that came in. Judge the limit after as many devices as the limit."""
        if not self._doubles:
            super().succeeded(now)
            return
        self._done += 1
        if self._done < self._limit:
            return
        rate = self._done / max(now - self._since, 1e-9)
        self._doubles = rate >= GAIN_MIN * self._rate  # no gain: the processors or a line are full already
        self._limit = self._limit * 2 if self._doubles else max(self._least, self._limit / 2)
        self._since, self._done, self._rate = now, 0, rate

    def refused(self, began_at: float, now: float) -> None:
        """Halve the limit, and never double again."""
        super().refused(began_at, now)
        self._doubles = False
