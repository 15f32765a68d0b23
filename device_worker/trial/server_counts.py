"""Read what a server counts of its own work: Triton's statistics of a model, before and after the measurement."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from device_worker.trial.wire import Message

_DURATIONS = {
    "queue": 3,
    "compute_input": 4,
    "compute_infer": 5,
    "compute_output": 6,
    "cache_hit": 7,
    "cache_miss": 8,
}
"""The field of InferStatistics for each duration (grpc_service.proto of Triton)."""
_COMPUTE = ("compute_input", "compute_infer", "compute_output")
_METRICS = ("server_queue_ns", "server_compute_ns", "server_batch_items", "server_cache_hit_ratio")
_NO_REQUEST = "the server counted no request of that kind while it was measured"


class ServerCounts:
    """Counts and times of a server from its start until now. `reason` says why there are none, or is None."""

    __slots__ = ("_counts", "reason")

    def __init__(self, counts: Mapping[str, int], reason: str | None = None) -> None:
        self._counts = counts
        self.reason = reason

    @classmethod
    def of_json(cls, answer: Mapping[str, Any]) -> ServerCounts:
        """Return the counts of an answer in JSON, of all versions of the model together."""
        totals: dict[str, int] = {}
        found = answer.get("model_stats")
        for model in found if isinstance(found, list) else []:
            stats = model.get("inference_stats") if isinstance(model, dict) else None
            if not isinstance(stats, dict):
                continue
            _add(totals, "inferences", model.get("inference_count"))
            _add(totals, "executions", model.get("execution_count"))
            for name in _DURATIONS:
                one = stats.get(name)
                for key in ("count", "ns"):
                    _add(totals, f"{name}.{key}", one.get(key) if isinstance(one, dict) else None)
        return cls._of(totals)

    @classmethod
    def of_message(cls, answer: Message) -> ServerCounts:
        """Return the counts of an answer over gRPC, of all versions of the model together."""
        totals: dict[str, int] = {}
        for model in answer.messages(1):
            stats = model.message(6)
            _add(totals, "inferences", model.number(4))
            _add(totals, "executions", model.number(5))
            for name, field in _DURATIONS.items():
                duration = stats.message(field)
                _add(totals, f"{name}.count", duration.number(1))
                _add(totals, f"{name}.ns", duration.number(2))
        return cls._of(totals)

    @classmethod
    def _of(cls, totals: Mapping[str, int]) -> ServerCounts:
        return cls(totals, None if totals else "the server's statistics do not name the model")

    def figures(self, before: ServerCounts) -> Iterator[tuple[str, float | None, str | None]]:
        """Yield name, value and reason of each metric, of the time since `before`."""
        reason = before.reason or self.reason
        if reason is not None:
            yield from ((name, None, reason) for name in _METRICS)
            return
        grown = {name: count - before._counts.get(name, 0) for name, count in self._counts.items()}
        computed_ns = sum(grown[f"{name}.ns"] for name in _COMPUTE)
        asked = grown["cache_hit.count"] + grown["cache_miss.count"]
        yield _ratio("server_queue_ns", grown["queue.ns"], grown["queue.count"], _NO_REQUEST)
        yield _ratio("server_compute_ns", computed_ns, grown["compute_infer.count"], _NO_REQUEST)
        yield _ratio("server_batch_items", grown["inferences"], grown["executions"], _NO_REQUEST)
        yield _ratio("server_cache_hit_ratio", grown["cache_hit.count"], asked, "the server has no cache for the model")


SEARCHED = ServerCounts({}, "a search asks at many rates, and the server counts them together")
"""The counts after a search."""


def _ratio(name: str, whole: int, count: int, reason: str) -> tuple[str, float | None, str | None]:
    return (name, whole / count, None) if count > 0 else (name, None, reason)


def _add(totals: dict[str, int], name: str, value: object) -> None:
    totals[name] = totals.get(name, 0) + (value if type(value) is int and value >= 0 else 0)
