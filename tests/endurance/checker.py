"""Judge what the service did: submissions, moments of schedules, windows and shares.

Pure, so that it can be shown labs in which something is wrong. What devices and database have of each trial is judged
as a history of chaos is (`tests/chaos/checker.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.endurance.watcher import Fired

SHARE_TOLERANCE_S = 1.0
LATE_S = 5.0
"""Windows and runs are timed by two clocks of one machine, a moment apart."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person was told had been submitted. `devices` are those that were meant, or how many by need."""

    run: str
    name: str
    person: str
    devices: tuple[str, ...] | int
    trials: int
    window: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A submission as the database has it at the end. `counted` has by device the trials that count."""

    run: str
    name: str
    person: str
    state: str
    error: str | None
    schedule: str | None
    submitted_at: datetime
    begun_at: datetime | None
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Moments:
    """When a schedule was due, worked out from the numbers that it was made of. `editions` counts its firings."""

    schedule: str
    due: Sequence[datetime]
    firings: int
    devices: tuple[str, ...]
    trials: int


@dataclass(frozen=True, slots=True)
class Open:
    """When a window was open. `devices` and `person` are empty for all devices, and for everybody."""

    name: str
    opens_at: datetime
    closes_at: datetime
    devices: tuple[str, ...] = ()
    person: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that a verdict on the service rests on. Shares are seconds by person."""

    wanted: Sequence[Wanted] = ()
    told: Sequence[Told] = ()
    fired: Sequence[Fired] = ()
    moments: Sequence[Moments] = ()
    windows: Sequence[Open] = ()
    shares_told: Mapping[str, float] | None = None
    shares_leased: Mapping[str, float] | None = None
    seconds_of_trials: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Wrongs:
    """What is wrong, one line for each thing."""

    incomplete: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Return all that is wrong."""
        return [*self.incomplete, *self.moments, *self.windows, *self.shares]


def judge_service(books: Books) -> Wrongs:
    """Hold what people were promised against what happened."""
    return Wrongs(
        incomplete=(*_lost_submissions(books), *_incomplete(books)),
        moments=tuple(line for moments in books.moments for line in _wrong_moments(moments, books)),
        windows=tuple(line for window in books.windows for line in _broken(window, books)),
        shares=tuple(_wrong_shares(books)),
    )


def _lost_submissions(books: Books) -> Iterator[str]:
    """Yield submissions that a command had taken, and that are gone; and those that nobody made."""
    found = Counter(one.run for one in books.told)
    for one in books.wanted:
        if found[one.run] != 1:
            yield f"{one.run} {one.name} of {one.person} was taken, and is in the queue {found[one.run]} times"
    known = {one.run for one in books.wanted}
    for told in books.told:
        if told.run not in known and told.schedule is None:
            yield f"{told.run} {told.name} of {told.person} is in the queue, and nobody was told so"


def _incomplete(books: Books) -> Iterator[str]:
    for one in books.told:
        if one.state != "ended" or one.error:
            yield f"{one.run} {one.name} is {one.state}: {one.error}"
    wanted: dict[str, tuple[tuple[str, ...] | int, int]] = {one.run: (one.devices, one.trials) for one in books.wanted}
    for moments in books.moments:
        runs = [one.run for one in books.told if one.schedule == moments.schedule]
        wanted |= dict.fromkeys(runs, (moments.devices, moments.trials))
    for one in books.told:
        devices, trials = wanted.get(one.run, (0, 0))
        names = tuple(sorted(one.counted))
        is_right = len(names) == devices if isinstance(devices, int) else names == tuple(sorted(devices))
        if not is_right:
            yield f"{one.run} {one.name} ran on {', '.join(names) or 'nothing'}, and was to run on {devices}"
        for device, counted in sorted(one.counted.items()):
            if counted != trials:
                yield f"{one.run} {one.name}: {counted} trials count on {device}, of {trials}"


def _wrong_moments(moments: Moments, books: Books) -> Iterator[str]:
    """Yield moments that came never or twice, and runs of a schedule that no moment made."""
    name = moments.schedule
    fired = sorted((one for one in books.fired if one.schedule == name), key=lambda one: one.at)
    if len(fired) != moments.firings:
        yield f"{name}: {moments.firings} firings are on record, {len(fired)} were seen"
    by_moment: dict[datetime, list[Fired]] = defaultdict(list)
    for one in fired:
        due = max((moment for moment in moments.due if moment <= one.at), default=None)
        if due is None:
            yield f"{name} fired at {one.at}, before any moment"
        else:
            by_moment[due].append(one)
    for moment in moments.due:
        if len(by_moment[moment]) != 1:
            yield f"{name}: the moment {moment} fired {len(by_moment[moment])} times"
    made = Counter(one.made for one in fired)
    runs = [one.run for one in books.told if one.schedule == name]
    for run in runs:
        if made[run] != 1:
            yield f"{name}: {run} is in the queue, and {made[run]} firings made it"
    for one in fired:
        if one.made not in runs and not one.made.startswith("skipped: "):
            yield f"{name}: the firing of {one.at} has no run: {one.made}"


def _broken(window: Open, books: Books) -> Iterator[str]:
    """Yield runs that began outside of the window that they name, or on devices that were kept for somebody."""
    late = timedelta(seconds=LATE_S)
    named = {one.run for one in books.wanted if one.window == window.name}
    for one in books.told:
        if one.begun_at is None:
            continue
        if one.run in named and not window.opens_at - late <= one.begun_at <= window.closes_at + late:
            yield f"{one.run} began at {one.begun_at}, outside of {window.name}"
        is_open = window.opens_at + late <= one.begun_at <= window.closes_at - late
        if window.person and one.person != window.person and is_open and set(window.devices) & set(one.counted):
            yield f"{one.run} of {one.person} began at {one.begun_at} on a device that {window.name} keeps"


def _wrong_shares(books: Books) -> Iterator[str]:
    """Yield persons whose share is not the time that their runs had devices, or less than their trials took."""
    told, leased, trials = books.shares_told or {}, books.shares_leased or {}, books.seconds_of_trials or {}
    for person in sorted({*told, *leased, *trials}):
        if abs(told.get(person, 0.0) - leased.get(person, 0.0)) > SHARE_TOLERANCE_S:
            yield f"{person}: told {told.get(person)} s, leased {leased.get(person)} s"
        if told.get(person, 0.0) < trials.get(person, 0.0):
            yield f"{person}: told {told.get(person)} s, and trials alone took {trials.get(person)} s"
    for person in sorted({one.person for one in books.told} - set(told)):
        yield f"{person} has had devices, and no share is told"
