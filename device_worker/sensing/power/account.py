"""Hold what a trial reported of its measured part, and begin the account of its power."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Measured:
    """What a trial reported of its measured part.

    `window` holds `begin_mono_ns` and `end_mono_ns`. `inferences` is the number of inferences in the window, and
    `invoked_ns` the time that these took together. `runs` is the number of latency samples, `batch` the number of items
    of an inference.
    """

    __slots__ = ("batch", "inferences", "invoked_ns", "runs", "window")

    def __init__(
        self,
        window: dict[str, Any] | None,
        inferences: int,
        runs: int = 0,
        invoked_ns: int = 0,
        batch: int | None = None,
    ) -> None:
        self.window = window
        self.inferences = inferences
        self.runs = runs
        self.invoked_ns = invoked_ns
        self.batch = batch


def blank_account(reason: str | None) -> dict[str, Any]:
    """Return the account of a trial of which nothing was measured."""
    return {
        "source": None,
        "kind": None,
        "period_s": None,
        "samples": 0,
        "rate_hz": None,
        "idle_w": None,
        "idle_u95_w": None,
        "idle_before_w": None,
        "idle_after_w": None,
        "idle_windows": None,
        "invoked_ratio": None,
        "is_estimate": None,
        "accuracy_ratio": None,
        "overhead_cpu_ns": 0,
        "reason": reason,
        "energy_reason": None,
        "caution": None,
        "trace": None,
    }
