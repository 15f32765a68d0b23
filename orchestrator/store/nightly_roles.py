"""Define the roles of the database for verdicts over time. `orchestrator.store.base` offers all roles together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a run names no value of these, and waits for none of their imports
    from orchestrator.domain.annotation import Annotation, Note
    from orchestrator.domain.baseline import Baseline, NewBaseline
    from orchestrator.domain.night import NightRun
    from orchestrator.domain.night_record import NightRecord
    from orchestrator.domain.regression import Move, Regression, RegressionEvent, RegressionState, Suspicion


class Baselines(Protocol):
    """Keep the levels chosen by people to compare with. A nightly reads the baseline of the nightly's name."""

    def record(self, new: NewBaseline) -> Sequence[Baseline]:
        """Record a choice, and supersede the present levels of the name covered wholly by the choice.

        Accepting a level also accepts the standing regressions of the nightly of the same name, for the series and the
        metric of the level. Return the new levels, a level for each series, or a single level for a whole run.
        """

    def levels(self, name: str) -> Sequence[Baseline]:
        """Return every level of a name, superseded levels included, the oldest first.

        `orchestrator.domain.baseline` chooses among the levels: `level_of`, `whole_run` and `segment_began`.
        """

    def present_levels(self) -> Sequence[Baseline]:
        """Return the present levels of all names, the oldest first."""


class Nights(Protocol):
    """Keep nights and the runs of the stages."""

    def begin_night(self, night: str, nightly: str) -> NightRecord:
        """Record the beginning of a night. Raise StoreError if a night with the same id exists."""

    def add_run(self, night: str, run: NightRun) -> None:
        """Record a run of a night, also before the run itself is on record. The same run again is no change."""

    def end_night(self, night: str, exit_code: int, report: Mapping[str, Any]) -> NightRecord:
        """Record the end of a night with exit code and report. Raise StoreError for an unknown night."""

    def find_night(self, night: str) -> NightRecord | None:
        """Return a night by id, by unique beginning, or the newest night as "last". Return None if none matches.

        Raise ConfigError for an ambiguous beginning.
        """

    def nights(
        self, nightly: str | None = None, limit: int | None = None, before: str | None = None
    ) -> Sequence[NightRecord]:
        """Return the nights of a nightly, or of all, the newest first. `before` names the night after the newest."""

    def device_time_s(self, run: str) -> float:
        """Return for how many seconds trials have run on the devices of a run, disturbed and failed trials included."""


class Regressions(Protocol):
    """Keep regressions and the steps of each life. `orchestrator.domain.regression` has the rules."""

    def suspect(self, suspicion: Suspicion, who: str, reason: str | None = None) -> Regression:
        """Record a suspicion as `detected`. An open regression of the same series, metric and direction stays as is.

        Return the open regression, new or not.
        """

    def move(self, regression: int, move: Move) -> Regression:
        """Take a regression to another state. The same state again is no change.

        Accepting makes the candidate's run the level of the series and metric, in the same transaction. Raise
        ConfigError for an unknown id, and for a move not allowed from the state or to the actor.
        """

    def find_regression(self, regression: int) -> Regression | None:
        """Return a regression by id, or None."""

    def regressions(
        self,
        nightly: str | None = None,
        states: Collection[RegressionState] | None = None,
        series: int | None = None,
    ) -> Sequence[Regression]:
        """Return the regressions of a nightly and a series in given states, the newest first. None stands for all."""

    def events(self, regression: int) -> Sequence[RegressionEvent]:
        """Return the steps of a regression's life, in order."""


class Annotations(Protocol):
    """Keep the notes of people about dates, devices, series and runs."""

    def annotate(self, note: Note) -> Annotation:
        """Record a note. Raise ConfigError for a device or a series unknown to the database."""

    def annotations(self, first_day: date | None = None, last_day: date | None = None) -> Sequence[Annotation]:
        """Return the annotations on any day of a range, the earliest day first. None leaves an end open."""
