"""Hold what a database keeps of a night: its dates, its runs, and its report once there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.domain.night import NightRun, NightStage


@dataclass(frozen=True, slots=True)
class NightRecord:
    """Hold a night. End, exit code and report are None before the end, and for a night that was cut off.

    A run of `runs` may not be on record itself if the night was cut off as the run began.
    """

    id: str
    nightly: str
    began_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    report: Mapping[str, Any] | None = None
    runs: tuple[NightRun, ...] = ()

    def of_stage(self, stage: NightStage) -> tuple[NightRun, ...]:
        """Return the runs of a stage, in the order of their ids."""
        return tuple(one for one in self.runs if one.stage is stage)
