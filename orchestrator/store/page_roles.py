"""Define the roles that read for pages. `orchestrator.store.base` offers them with all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a run names no value of these, and waits for none of their imports
    from datetime import datetime

    from orchestrator.domain.cell_details import CellDetails, RunJob, TrialSamples
    from orchestrator.domain.fleet_card import DeviceInRun, NoisePoint, Reading
    from orchestrator.domain.lineage import ModelRecord
    from orchestrator.domain.operator_profile import OperatorTime
    from orchestrator.domain.power_curve import PowerCurve
    from orchestrator.domain.run_glance import RunGlance


class Fleet(Protocol):
    """Read what is known of all devices."""

    def known_devices(self) -> Sequence[tuple[str, str, dict[str, str]]]:
        """Return name, transport and tags of every device, in the order of names."""

    def last_runs(self) -> dict[str, DeviceInRun]:
        """Return by device the newest run. Devices without a run are left out."""

    def asked_at(self) -> dict[str, datetime]:
        """Return by device when the device last gave facts."""

    def last_readings(self) -> dict[str, Reading]:
        """Return by device the conditions after the newest attempt of the newest run with an attempt."""

    def noise(self, runs: int) -> dict[str, tuple[NoisePoint, ...]]:
        """Return by device the usual noise of latency in the newest runs, at most `runs` of a device."""

    def standing_regressions(self) -> dict[str, int]:
        """Return by device the number of regressions that are confirmed and not over."""


class Cells(Protocol):
    """Read single cells of runs."""

    def cell(self, job: int) -> CellDetails | None:
        """Return a cell in full, or None for an unknown job."""

    def job_of_attempt(self, attempt: int) -> int | None:
        """Return the job of an attempt, or None for an unknown attempt."""

    def jobs_of(self, run: str) -> Sequence[RunJob]:
        """Return the cells of a run, in the order of the plans."""

    def operators(self, job: int) -> Sequence[OperatorTime]:
        """Return the operators of a cell's counted profile trial, the largest share first; none without a profile."""

    def power_curves(self, job: int) -> Sequence[PowerCurve]:
        """Return the readings of power of the counted measure trials, in the order of trials and sources.

        Raise StoreError for readings that do not read.
        """

    def samples(self, job: int, metric: str) -> Sequence[TrialSamples]:
        """Return the raw samples of the counted measure trials, in the order of trials.

        Raise StoreError for a block of samples that does not read.
        """


class RunWatch(Protocol):
    """Watch runs of any controller."""

    def glance(self, run: str, failures: int) -> RunGlance | None:
        """Return the present standing of a run with at most so many failures, or None for an unknown run."""


class Lineages(Protocol):
    """Read the models of a database."""

    def models(self) -> Sequence[ModelRecord]:
        """Return every model with all artifacts, in the order of names."""


class PageRoles(Protocol):
    """Have every role that reads for pages, of a database opened for reading."""

    @property
    def fleet(self) -> Fleet:
        """Return the role for all devices at a glance."""

    @property
    def cells(self) -> Cells:
        """Return the role for single cells."""

    @property
    def watch(self) -> RunWatch:
        """Return the role for runs under way."""

    @property
    def lineages(self) -> Lineages:
        """Return the role for models."""
