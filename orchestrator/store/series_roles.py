"""Define the role of the database for series over time. `orchestrator.store.base` offers it with all others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from orchestrator.domain.build import Environment, PlannedBuild
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import RunOfSeries, Window


class SeriesRecords(Protocol):
    """Read series, and what runs brought to each."""

    def find_series(
        self, ids: Collection[int] | None = None, device: str | None = None, variant: str | None = None
    ) -> Sequence[Series]:
        """Return the series with one of the ids, of a device and of a variant, in the order of ids. None: any."""

    def runs_of(self, series: int, metric: str, window: Window) -> tuple[Sequence[RunOfSeries], int]:
        """Return the runs of a series within a window, the oldest first, and how many more the window has.

        A run without a value of the metric is among them. If only preflights have the metric (accuracy), the values are
        those of the preflights.
        """

    def environments(self, snapshots: Collection[int]) -> Mapping[int, Environment]:
        """Return the environments of snapshots, by id. Unknown ids are left out."""

    def measured_metrics(self, series: int) -> Sequence[str]:
        """Return the metrics that a series has a value of, in alphabetical order."""


class BuildRecords(Protocol):
    """Read what a run measured on: the environments of its devices, and the bytes of its cells."""

    def run_environments(self, run: str) -> Mapping[str, Sequence[Environment]]:
        """Return the environments of a run by device, each once, in the order of their dates.

        A device that a run resumes on after an upgrade has two. A device without a plan is left out.
        """

    def planned_builds(self, run: str) -> Sequence[PlannedBuild]:
        """Return the bytes that each cell of a run was planned with, in the order of the plans."""
