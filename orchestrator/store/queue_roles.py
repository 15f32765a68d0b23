"""Define the roles of the database for the queue. `orchestrator.store.base` offers these roles too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a run names no value of these, and waits for none of their imports
    from orchestrator.domain.schedule import Firing, NewSchedule, Schedule
    from orchestrator.domain.submission import (
        Claim,
        DaemonRecord,
        NewSubmission,
        ParcelFile,
        Submission,
        SubmissionState,
    )
    from orchestrator.domain.window import Window


class BlobVault(Protocol):
    """Keep contents by hash, in chunks: each chunk is a transaction of its own, so that a cut upload goes on."""

    def begin_blob(self, sha256: str, size: int) -> tuple[int, Sequence[int]]:
        """Return the size of chunks, and the places of the chunks that are missing. A whole content has none.

        Raise BlobError for a content of another size under the same hash.
        """

    def put_chunk(self, sha256: str, position: int, content: bytes) -> None:
        """Store a chunk. The same chunk of another upload meanwhile is no error."""

    def finish_blob(self, sha256: str) -> None:
        """Record that every chunk is there. Raise BlobError if any is missing."""

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """Yield the chunks of a content in order, unchecked. Raise BlobError for a content that is not whole."""

    def drop_blob(self, sha256: str) -> None:
        """Delete the chunks of a content that is not what its hash says, so that it can be uploaded again."""


class Submissions(Protocol):
    """Keep the queue. `submission` is an id. A change returns the submission as changed."""

    def submit(self, new: NewSubmission) -> Submission:
        """Put a run into the queue, in one transaction. Raise StoreError if a content is missing by now."""

    def open_submissions(self) -> Sequence[Submission]:
        """Return all submissions that are not over, the oldest first."""

    def newest_over(self, limit: int) -> Sequence[Submission]:
        """Return the submissions that were over last, the newest first."""

    def find_submission(self, run: str) -> Submission | None:
        """Return a submission by the run's id, name or unique beginning of the id. Raise ConfigError for several."""

    def files_of(self, submission: int) -> Sequence[ParcelFile]:
        """Return the files of a submission, in the order of paths."""

    def trial_seconds(self, devices: Sequence[str], models: Sequence[str]) -> Mapping[tuple[str, ...], float]:
        """Return the mean seconds of a counted trial, by device, model, variant, runtime and settings `name=value`."""

    def overheads_s(self, devices: Sequence[str]) -> Mapping[str, float]:
        """Return by device the seconds per attempt, beyond trials, for which the newest run there had the device.

        Devices without a run that has ended are left out.
        """

    def left_out(self, devices: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Return by device the labels of cells that a plan of the device has left out."""

    def last_used(self, devices: Sequence[str]) -> Mapping[str, datetime]:
        """Return when the newest run of each device began. Devices without a run are left out."""

    def expect(self, device_s: Mapping[int, Mapping[str, float | None]]) -> None:
        """Record the devices of submissions by the inventory of a daemon, with the expected seconds."""

    def set_priority(self, submission: int, priority: int) -> Submission:
        """Change the priority. Raise ConfigError for a submission that runs or is over."""

    def move_to_end(self, submission: int, *, first: bool) -> Submission:
        """Move a submission before, or behind, all others of the person. Raise ConfigError as `set_priority` does."""

    def hold(self, submission: int, reason: str | None) -> Submission:
        """Keep a submission from beginning until a person releases it. Raise ConfigError as `set_priority` does."""

    def release(self, submission: int) -> Submission:
        """Let a held submission wait again. Raise ConfigError for a submission that is not held."""

    def cancel(self, submission: int, who: str) -> Submission:
        """Cancel a submission at once, or have a daemon end what has begun. Raise ConfigError if it is over."""


class Daemons(Protocol):
    """Register daemons, and grant claims of submissions, by the database's clock."""

    def begin_daemon(
        self, holder: str, controller: str, devices: Sequence[str], lasts_s: float, windows: Sequence[Window] = ()
    ) -> int:
        """Register a daemon for so many seconds, and return the id."""

    def renew_daemon(self, daemon: int, devices: Sequence[str], lasts_s: float, windows: Sequence[Window] = ()) -> None:
        """Let a daemon live for so many further seconds, with the devices of its present inventory, and its windows."""

    def end_daemon(self, daemon: int) -> None:
        """Record the end of a daemon. What it has claimed may be claimed at once."""

    def live_daemons(self) -> Sequence[DaemonRecord]:
        """Return the daemons that live, the oldest first."""

    def claim(self, submission: int, seen: int, daemon: int) -> Claim | None:
        """Claim a submission that waits, or whose daemon has ended or died. Return None if another daemon was quicker.

        `seen` is the number of claims when the submission was read.
        """

    def wants_stop(self, claim: Claim) -> bool:
        """Return True if a person wants the run ended. Raise ClaimLost if the claim was lost."""

    def finish(self, claim: Claim, state: SubmissionState, error: str | None = None, hint: str | None = None) -> None:
        """Record the end of a submission. Raise ClaimLost, with nothing written, if the claim was lost."""

    def give_back(self, claim: Claim) -> None:
        """Let a submission wait for the next daemon, unfinished. Raise ClaimLost as `finish` does."""

    def give_way(self, claim: Claim, to: str) -> None:
        """Record that a run is going to give its devices to another one. Raise ClaimLost as `finish` does.

        From then on a run that was cancelled is to go on, whoever dies in between.
        """

    def shares(self) -> Mapping[str, float]:
        """Return by person for how many seconds the person's runs had devices over the last day, several at a time."""

    def now(self) -> datetime:
        """Return the present time of the database's clock."""


class Schedules(Protocol):
    """Keep schedules, and let each firing submit one run, by the database's clock."""

    def add_schedule(self, new: NewSchedule, *, replaces: bool = False) -> Schedule:
        """Add a schedule, in one transaction, or replace the one of that name.

        Raise ConfigError for a name that is taken, and StoreError if a content is missing by now.
        """

    def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, by name."""

    def find_schedule(self, name: str) -> Schedule | None:
        """Return a schedule by name."""

    def due_schedules(self) -> Sequence[Schedule]:
        """Return the schedules that are to fire by now, the earliest first."""

    def fire(self, firing: Firing) -> str | None:
        """Carry one firing out, in one transaction: submit the run, and move the schedule on.

        Return the run, or why there is none. Return None, with nothing written, if another daemon was quicker, or if
        the schedule was changed, paused or removed since it was read.
        """

    def pause_schedule(self, name: str) -> Schedule:
        """Keep a schedule from firing. Raise ConfigError for an unknown or paused one."""

    def resume_schedule(self, name: str) -> Schedule:
        """Let a paused schedule fire again. What fell into the pause is not made up for."""

    def remove_schedule(self, name: str) -> Schedule:
        """Remove a schedule. Its submissions stay. Raise ConfigError for an unknown one."""


class QueueRoles(Protocol):
    """Have the roles for the queue."""

    @property
    def vault(self) -> BlobVault:
        """Return the role for contents in chunks."""

    @property
    def submissions(self) -> Submissions:
        """Return the role for submissions."""

    @property
    def daemons(self) -> Daemons:
        """Return the role for daemons."""

    @property
    def schedules(self) -> Schedules:
        """Return the role for schedules."""
