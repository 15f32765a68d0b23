"""Say which runs a list shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.run import RunState


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Hold the conditions on listed runs, all of which must hold. None stands for any.

    `sweep`, `device`, `model` and `name` are names, or patterns with `*` and `?`, in capitals or not. A tag without a
    value stands for any value. `excluded`: list excluded runs too.
    """

    sweep: str | None = None
    device: str | None = None
    model: str | None = None
    name: str | None = None
    state: RunState | None = None
    since: datetime | None = None
    tags: tuple[tuple[str, str | None], ...] = ()
    excluded: bool = False
