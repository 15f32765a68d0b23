"""Count where the nodes of a model run, and judge whether a delegate took as many as a sweep asks for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping

    from device_worker.protocol.declarations import Delegation

INTERPRETER = "interpreter"
"""The place of nodes that no delegate runs."""


class Fallback(Exception):
    """A delegate runs fewer nodes than asked for, or nobody can tell. The message says which."""


class NodePlaces:
    """Where the nodes of a loaded model run. `by_place` counts nodes by delegate, provider or `interpreter`.

    `by_place` is None where the runtime does not count. `share` is that of the delegate asked for, or of any delegate
    where none was, and None where unknown. `reason` says why something is unknown.
    """

    __slots__ = ("asked", "by_place", "reason", "share")

    def __init__(
        self, asked: str | None, by_place: Mapping[str, int] | None, share: float | None = None, reason: str = ""
    ) -> None:
        self.asked = asked
        self.by_place = by_place
        self.share = share
        self.reason = reason
        if by_place is not None:
            nodes = sum(by_place.values())
            self.share = self._delegated() / nodes if nodes else None
            self.reason = reason or "the model has no nodes"

    def figures(self) -> Iterator[tuple[str, float | None, str]]:
        """Yield metrics with value and, for a value of None, the reason."""
        counted = self.by_place is not None
        yield "nodes", sum(self.by_place.values()) if self.by_place is not None else None, self.reason
        yield "delegated_nodes", self._delegated() if counted else None, self.reason
        yield "delegated_nodes_ratio", self.share, self.reason

    def refuse_fallback(self, wanted: Delegation) -> None:
        """Raise Fallback if a delegate was asked for, and does not provably run the wanted share of nodes."""
        if self.asked is None or wanted.allow_fallback:
            return
        if self.share is None:  # unknown is not met
            raise Fallback(f"nobody can tell how many nodes {self.asked} runs: {self.reason}{_REMEDY}")
        if self.share < wanted.nodes_min:
            raise Fallback(
                f"{self.asked} runs {self._in_words()}, and {wanted.nodes_min:.4g} of them are asked for{_REMEDY}"
            )

    def _delegated(self) -> int:
        places = self.by_place or {}
        if self.asked is not None:
            return places.get(self.asked, 0)
        return sum(count for place, count in places.items() if place != INTERPRETER)

    def _in_words(self) -> str:
        if self.by_place is None:
            return f"{self.share:.4g} of the nodes"
        others = ", ".join(
            f"{place} {count}" for place, count in self.by_place.items() if place != self.asked and count
        )
        total = sum(self.by_place.values())
        return f"{self._delegated()} of {total} nodes" + (f" ({others})" if others else "")


_REMEDY = "; write delegates: {allow_fallback: true} in the sweep to measure it nevertheless"
