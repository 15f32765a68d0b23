"""Define the role of the database for series over time. `orchestrator.store.base` offers all roles together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a run names no value of these, and waits for none of their imports
    from datetime import datetime

    from orchestrator.domain.build import Environment, PlannedBuild
    from orchestrator.domain.export import SampleBlock
    from orchestrator.domain.increment import CountedJob
    from orchestrator.domain.series import Series
    from orchestrator.domain.series_history import RunOfSeries, Window


class SeriesRecords(Protocol):
    """Read series, and the values of runs."""

    def find_series(
        self, ids: Collection[int] | None = None, device: str | None = None, variant: str | None = None
    ) -> Sequence[Series]:
        """Return the series with any of the ids, of a device and of a variant, in the order of ids. None: any."""

    def runs_of(self, series: int, metric: str, window: Window) -> tuple[Sequence[RunOfSeries], int]:
        """Return the runs of a series within a window, the oldest first, and how many more the window has.

        A run without a value of the metric is included. If only preflights have the metric (accuracy), the values are
        the preflights' values.
        """

    def environments(self, snapshots: Collection[int]) -> Mapping[int, Environment]:
        """Return the environments of snapshots, by id. Unknown ids are left out."""

    def measured_metrics(self, series: int) -> Sequence[str]:
        """Return the metrics with a value in a series, in alphabetical order."""


class BuildRecords(Protocol):
    """Read the surroundings of a run: the environments of devices, and the bytes of cells."""

    def run_environments(self, run: str) -> Mapping[str, Sequence[Environment]]:
        """Return the environments of a run by device, each once, in the order of dates.

        A device resumed after an upgrade has two environments. A device without a plan is left out.
        """

    def planned_builds(self, run: str) -> Sequence[PlannedBuild]:
        """Return the planned bytes of each cell of a run, in the order of the plans."""


class CountedJobs(Protocol):
    """Read which cells have results, whatever run they are of."""

    def counted_jobs(self, device: str, keys: Collection[str], since: datetime | None) -> Sequence[CountedJob]:
        """Return the jobs of a device with counted measure trials, the newest run first.

        `keys` are the wanted keys of jobs, and `since` bounds the beginning of runs. Excluded runs are left out.
        """


class ExportRecords(Protocol):
    """Stream measurements and raw samples, in parts that fit into memory whatever the size of the database."""

    def runs_within(self, window: Window) -> Sequence[str]:
        """Return the ids of the runs begun within a window, the oldest first, whatever their number."""

    def measurement_rows(self, run: str, device: str, *, counted_only: bool) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the measurements of a device of a run in parts, with the columns of `domain.export.MEASUREMENTS`."""

    def sample_blocks(self, run: str, device: str) -> Iterator[SampleBlock]:
        """Yield the raw samples of the counted measure trials, block by block. Raise StoreError for damaged samples."""

    def cell_sample_blocks(self, jobs: Sequence[int], metric: str) -> Iterator[SampleBlock]:
        """Yield the raw samples of a metric of jobs, with the columns of `domain.export.CELL_SAMPLES`.

        Raise StoreError for damaged samples.
        """


class SeriesRoles(Protocol):
    """Have the roles for series, builds, counted results and exports."""

    @property
    def series(self) -> SeriesRecords:
        """Return the role for series over time."""

    @property
    def builds(self) -> BuildRecords:
        """Return the role for what runs measured on."""

    @property
    def counted(self) -> CountedJobs:
        """Return the role for cells with results."""

    @property
    def exports(self) -> ExportRecords:
        """Return the role for exports."""
