"""Hold the record of a night in the database: dates, runs, and the report after the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.domain.night import NightRun, NightStage


@dataclass(frozen=True, slots=True)
class NightRecord:
    """Hold a night. End, exit code and report are None before the end, and for an interrupted night.

    A run of `runs` may be missing on record, if the night was interrupted as the run began.
    """

    id: str
    nightly: str
    began_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    report: Mapping[str, Any] | None = None
    runs: tuple[NightRun, ...] = ()

    def of_stage(self, stage: NightStage) -> tuple[NightRun, ...]:
        """Return the runs of a stage, in the order of ids."""
        return tuple(one for one in self.runs if one.stage is stage)
