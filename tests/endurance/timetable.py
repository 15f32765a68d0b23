"""What is to happen in a lab, and when: all of it drawn from one seed, before anything begins."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PEOPLE = ("anna", "ben", "carol")
SITES = ("berlin", "oslo")
DEVICES_PER_SITE = 4
DEVICES = tuple(f"{site}-{number}" for site in SITES for number in range(1, DEVICES_PER_SITE + 1))
KEPT, KEEPER = "berlin-4", "carol"
"""The device of the window that belongs to one person, and the person."""


class Kind(StrEnum):
    """The sweeps of the lab."""

    SHORT = "short"
    PATIENT = "patient"
    """One of many trials, which gives way."""
    NEEDY = "needy"
    """One that asks for two devices, whichever are free."""
    LARGE = "large"
    """One with a file that takes a while to send."""
    REGULAR = "regular"
    """The sweep of the schedules."""


TRIALS_S: dict[Kind, tuple[float, ...]] = {
    Kind.SHORT: (0.4, 0.8),
    Kind.PATIENT: (1.5,) * 8,
    Kind.NEEDY: (0.5, 0.5, 0.5),
    Kind.LARGE: (0.5, 0.5),
    Kind.REGULAR: (0.6, 0.3),
}
"""How long each trial of a sweep takes."""
NEEDED = 2
"""How many devices the needy sweep asks for."""


class Fault(StrEnum):
    """What goes wrong."""

    SUBMISSION_CUT = "submission cut"
    DAEMON_KILLED = "daemon killed"
    GATEWAY_KILLED = "gateway killed"
    RAYLET_KILLED = "raylet killed"
    SITE_CUT = "site cut off"
    DATABASE_AWAY = "database away"


LONG_MINUTES = 20.0


@dataclass(frozen=True, slots=True)
class Submit:
    """A person submits a sweep. `window` is the name of a window, or nothing."""

    at_s: float
    name: str
    person: str
    kind: Kind
    select: str
    priority: int = 0
    window: str = ""


@dataclass(frozen=True, slots=True)
class Overtake:
    """A person submits something urgent for the devices of a patient run, once that one is at work."""

    at_s: float
    patient: str
    urgent: Submit


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault is to strike, at a site where it has one, and to last so long."""

    at_s: float
    fault: Fault
    site: str
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Regular:
    """A schedule: each `every_min` minutes from `first_min` of each hour on."""

    name: str
    person: str
    every_min: int
    first_min: int
    select: str
    zone: str = "UTC"

    @property
    def cron(self) -> str:
        """Return the expression."""
        return f"{self.first_min}-59/{self.every_min} * * * *"


@dataclass(frozen=True, slots=True)
class Hours:
    """A window that opens and closes so many minutes after the beginning, on `select`, for `person` if it is one's."""

    name: str
    opens_min: float
    closes_min: float
    select: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class Timetable:
    """Everything that happens in a lab."""

    seed: int
    minutes: float
    submits: tuple[Submit, ...]
    overtakes: tuple[Overtake, ...]
    strikes: tuple[Strike, ...]
    regulars: tuple[Regular, ...]
    windows: tuple[Hours, ...]

    @property
    def events(self) -> list[Submit | Overtake | Strike]:
        """Return what happens at a moment, in order."""
        return sorted((*self.submits, *self.overtakes, *self.strikes), key=lambda event: event.at_s)


def draw(seed: int, minutes: float) -> Timetable:
    """Draw the timetable of so many minutes."""
    chances = random.Random(seed)
    is_long = minutes >= LONG_MINUTES
    windows = _windows(minutes, is_long)
    return Timetable(
        seed=seed,
        minutes=minutes,
        submits=tuple(_submits(chances, minutes, is_long, windows)),
        overtakes=tuple(_overtakes(chances, minutes, is_long)),
        strikes=tuple(_strikes(chances, minutes, is_long)),
        regulars=_regulars(is_long),
        windows=windows,
    )


def _windows(minutes: float, is_long: bool) -> tuple[Hours, ...]:
    """Return the windows: one that anybody may name, and in a long lab one that keeps a device for a person."""
    late = Hours("late", minutes * 0.3, minutes + 60)
    own = Hours("own", minutes * 0.55, minutes * 0.7, KEPT, KEEPER)
    return (late, own) if is_long else (late,)


def _submits(chances: random.Random, minutes: float, is_long: bool, windows: tuple[Hours, ...]) -> Iterator[Submit]:
    """Yield what people submit. The first of a short lab have devices at both sites, so that gateways are there."""
    every_s = 60.0 if is_long else 15.0
    for number in range(int(minutes * 60 * 0.95 / every_s)):
        kind = chances.choice((Kind.SHORT, Kind.SHORT, Kind.NEEDY)) if number else Kind.SHORT
        select = "all" if kind is Kind.NEEDY else _selected(chances, number)
        waits = number % 9 == 1
        yield Submit(
            at_s=number * every_s + chances.uniform(0, every_s / 2),
            name=f"{kind}-{number}",
            person=PEOPLE[number % len(PEOPLE)],
            kind=kind,
            select=select,
            priority=chances.choice((-1, 0, 0, 0, 1)),
            window=windows[0].name if waits else "",
        )


def _selected(chances: random.Random, number: int) -> str:
    drawn = chances.random()
    if number % 7 == 0:
        return "all"
    if drawn < 0.4:
        return f"site={chances.choice(SITES)}"
    return " or ".join(chances.sample(DEVICES, chances.randint(1, 3)))


def _overtakes(chances: random.Random, minutes: float, is_long: bool) -> Iterator[Overtake]:
    for number in range(max(1, int(minutes / 12))):
        site = SITES[number % len(SITES)]
        at_s = minutes * 60 * (number + 0.2) / max(1, int(minutes / 12)) if is_long else 5.0
        urgent = Submit(at_s, f"urgent-{number}", PEOPLE[1], Kind.SHORT, f"site={site}", 20)
        yield Overtake(at_s, f"patient-{number}", urgent)
    del chances


def _strikes(chances: random.Random, minutes: float, is_long: bool) -> Iterator[Strike]:
    """Yield each fault once, in an order of chance, evenly over the time but for its beginning and its end."""
    faults = list(Fault)
    chances.shuffle(faults)
    seconds = minutes * 60
    for number, fault in enumerate(faults):
        at_s = seconds * (0.1 + 0.8 * number / len(faults)) + chances.uniform(0, seconds * 0.05)
        lasts_s = chances.uniform(20, 45) if is_long else 3.0
        yield Strike(at_s, fault, chances.choice(SITES), lasts_s)


def _regulars(is_long: bool) -> tuple[Regular, ...]:
    if not is_long:
        return (Regular("often", "ben", 1, 0, "berlin-1"),)
    return (
        Regular("often", "ben", 3, 0, "berlin-1 or oslo-1"),
        Regular("other", "carol", 5, 2, "site=oslo"),
        Regular("abroad", "anna", 10, 7, "all", "Asia/Tokyo"),
    )
