"""Define the roles for what is known of runs beside results. `orchestrator.store.base` offers these roles too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.domain.condition import ConditionUse
    from orchestrator.domain.conversation import SpentRetries
    from orchestrator.domain.joined_power import JoinedPower, MeteredAttempt
    from orchestrator.domain.meter import ClockOffset
    from orchestrator.domain.power import PowerUse
    from orchestrator.domain.pruning import Keeping, Pruned, RawSamples
    from orchestrator.domain.run import MissingTrial, RunEffort, SparedCell
    from orchestrator.domain.run_words import Deletion
    from orchestrator.domain.scored import Score, ScoredOutputs


class RunProgress(Protocol):
    """Separate the done trials of a run from the trials to run."""

    def done_trials(self, run: str, device: str, retry_failed: bool) -> Sequence[str]:
        """Return the keys of the trials not to be run again, in the order of the plan.

        A measured or spared trial is done. Without `retry_failed` so is a skipped trial, and one with more failed or
        invalid attempts than the plan grants. A cancelled attempt is no failure. An invalid preflight is never done.
        """

    def spent_retries(self, run: str, device: str, done: Collection[str]) -> Sequence[SpentRetries]:
        """Return how often the open measure trials have failed, or were invalid, by log. `done` are not open."""

    def rejected_jobs(self, run: str) -> Mapping[str, frozenset[str]]:
        """Return by device the keys of the jobs with a failed preflight."""

    def effort(self, run: str) -> RunEffort:
        """Return how long the trials of a run have taken, and how many commands have worked at the run."""

    def missing_trials(self, run: str) -> Sequence[MissingTrial]:
        """Return every measure trial without a usable result, with the reason, in the order of the plans.

        Skipped trials are included, although a preflight has shown the cell not to work. Spared ones are left out.
        """

    def spared_cells(self, run: str) -> Sequence[SparedCell]:
        """Return the cells whose stop rule had enough, in the order of the plans."""


class RunWordRecords(Protocol):
    """Keep the words of people about runs. `run` is a whole run id, and `who` is user@host."""

    def write_note(self, run: str, note: str, who: str) -> None:
        """Record the note of a run, in the place of an earlier note."""

    def change_tags(self, run: str, tags: Mapping[str, str], remove: Collection[str], who: str) -> None:
        """Set and remove tags of a run, in a single transaction. Raise ConfigError for a tag not there to remove."""

    def exclude(self, run: str, reason: str, who: str) -> None:
        """Take a run out of every view, history and comparison by date. Raise ConfigError for a run under way."""

    def include(self, run: str) -> None:
        """End the exclusion of a run. Raise ConfigError for a run that is not excluded, or is being deleted."""

    def excluded_runs(self) -> frozenset[str]:
        """Return the ids of all excluded runs."""

    def delete(self, run: str, who: str) -> Deletion:
        """Delete a run with all measurements, in transactions of bounded size. A repeated call goes on.

        The run is excluded from the first transaction on. Raise ConfigError, with nothing deleted, for a run under way,
        for the run of a present baseline, and for a run that a regression names.
        """


class PowerAccounts(Protocol):
    """Read how devices measured the power of trials."""

    def power_uses(self, run: str) -> Sequence[PowerUse]:
        """Return the power accounts common to counted trials, device by device, most trials first.

        Trials without an account by the worker are left out.
        """


class MeteredPower(Protocol):
    """Join the readings of a meter that the controller reads with the attempts that the meter has seen."""

    def metered_attempts(self, run: str, device: str) -> Sequence[MeteredAttempt]:
        """Return the good attempts at measure trials of a device in a run, in the order of execution."""

    def clocks(self, run: str, device: str) -> Sequence[ClockOffset]:
        """Return the comparisons of a device's clock with the controller's during a run."""

    def join(self, run: str, device: str, joined: Sequence[JoinedPower]) -> None:
        """Write figures, accounts and readings of attempts in one transaction, in the place of an earlier join's."""


class ScoredRecords(Protocol):
    """Keep what metrics of users say of outputs."""

    def kept_outputs(self, run: str) -> Sequence[ScoredOutputs]:
        """Return the kept outputs of a run's counted preflights, in the order of devices and jobs."""

    def write_scores(self, scores: Sequence[Score]) -> None:
        """Write the scores of attempts in one transaction, in the place of earlier ones of the same metric."""


class ConditionAccounts(Protocol):
    """Read the findings of devices' conditions during trials."""

    def condition_uses(self, run: str) -> Sequence[ConditionUse]:
        """Return the findings of each device's conditions. Devices without any are left out."""


class Retention(Protocol):
    """Delete raw samples of runs, and contents that no submission names, in transactions of bounded size."""

    def pruned(self, run: str) -> Pruned | None:
        """Return who pruned a run and when, or None. An interrupted pruning counts."""

    def old_runs(self, before: datetime) -> tuple[Mapping[str, datetime], Mapping[str, Keeping]]:
        """Return the runs begun before a moment that may be pruned, with the beginning, and why others may not.

        Runs that were pruned already are left out.
        """

    def raw_samples(self, run: str) -> RawSamples:
        """Return how many blocks of raw samples and readings a run has."""

    def prune(self, run: str, who: str) -> RawSamples:
        """Delete the raw samples of a run, record who did, and return how many went.

        A run that is needed, or under way, by now is left alone. After an interruption a second call goes on.
        """

    def abandoned(self) -> Sequence[str]:
        """Return the contents that no submission names, by hash, whose upload began long ago."""

    def stored(self, sha256: str) -> RawSamples:
        """Return the chunks of a content and their bytes."""

    def drop(self, sha256: str) -> RawSamples:
        """Delete a content that no submission names. One that is named by now is left alone."""

    def vacuum(self) -> None:
        """Give free room of the database back to the disk."""


class WordRoles(Protocol):
    """Have the roles for the words of runs, for what is kept of them, and for meters of the controller."""

    @property
    def retention(self) -> Retention:
        """Return the role for what is kept of raw samples."""

    @property
    def metered(self) -> MeteredPower:
        """Return the role for meters of the controller."""

    @property
    def scored(self) -> ScoredRecords:
        """Return the role for metrics of users."""

    @property
    def words(self) -> RunWordRecords:
        """Return the role for the words of runs."""
