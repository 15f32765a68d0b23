"""Describe windows: the hours of each day in which some work, of some people, may use some devices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.domain.zone import local_zone, zone_of

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_KEYS = ("hours", "zone", "users", "select")


@dataclass(frozen=True, slots=True)
class Window:
    """Hold a window. `users` are persons without @host, none of them for everybody. `select` picks the devices.

    `devices` are the selected ones of a daemon's inventory, and None before a daemon has looked.
    """

    name: str
    hours: str
    zone: str
    users: tuple[str, ...] = ()
    select: str = "all"
    devices: tuple[str, ...] | None = None

    def admits(self, person: str) -> bool:
        """Return True if a person may use the window."""
        return not self.users or person in self.users

    def covers(self, device: str) -> bool:
        """Return True if a device is one of the window's."""
        return self.devices is None or device in self.devices

    def closes_at(self, moment: datetime) -> datetime | None:
        """Return when the window closes that is open at a moment, None while it is closed."""
        return next((end for begin, end in self._spans(moment) if begin <= moment < end), None)

    def opens_at(self, moment: datetime) -> datetime:
        """Return when the window opens next after a moment."""
        return next(begin for begin, _ in self._spans(moment) if begin > moment)

    def _spans(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the spans of the days around a moment, in UTC, the earliest first."""
        zone = zone_of(self.zone)
        opens, closes, crosses = _read_hours(self.hours)
        today = moment.astimezone(zone).date()
        for days in range(-1, 4):
            day = today + days * _DAY
            begin = _moment(day, opens, zone)
            end = _moment(day + _DAY if crosses else day, closes, zone)
            # A change of the clocks may leave out a whole window.
            if begin < end:
                yield begin, end

    def to_json(self) -> Mapping[str, Any]:
        """Return the window as a daemon writes it down."""
        return {
            "name": self.name,
            "hours": self.hours,
            "zone": self.zone,
            "users": list(self.users),
            "select": self.select,
            "devices": None if self.devices is None else list(self.devices),
        }

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Window:
        """Return a window that a daemon wrote down."""
        devices = text["devices"]
        return cls(
            text["name"],
            text["hours"],
            text["zone"],
            tuple(text["users"]),
            text["select"],
            None if devices is None else tuple(devices),
        )


def open_windows(windows: Collection[Window], device: str, now: datetime) -> Iterator[tuple[Window, datetime]]:
    """Yield the windows of a device that are open, each with the moment at which it closes."""
    for window in windows:
        closes = window.closes_at(now) if window.covers(device) else None
        if closes is not None:
            yield window, closes


def read_windows(value: object, where: str) -> tuple[Window, ...]:
    """Return windows from a table of settings: by name, hours or a table. Raise ConfigError from `where` on."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table of windows", 'such as windows = { nightly = "22:00-06:00" }')
    return tuple(_read(name, one, f"{where}: window {quoted(name)}") for name, one in value.items())


def _read(name: str, value: object, where: str) -> Window:
    table = {"hours": value} if isinstance(value, str) else value
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: no name", "a letter, then letters, digits, dots, dashes and underscores")
    if not isinstance(table, dict) or not isinstance(table.get("hours"), str):
        raise ConfigError(f"{where}: it has no hours", 'such as hours = "22:00-06:00"')
    if unknown := sorted(set(table) - set(_KEYS)):
        raise ConfigError(f"{where}: unknown key {quoted(unknown[0])}", f"known: {', '.join(_KEYS)}")
    users = table.get("users", [])
    if not isinstance(users, list) or not all(isinstance(user, str) and user.strip() for user in users):
        raise ConfigError(f"{where}: users is no list of names", 'such as users = ["ci", "ann"]')
    for key, example in (("select", "class=rpi"), ("zone", "Europe/Berlin")):
        if key in table and not (isinstance(table[key], str) and table[key].strip()):
            raise ConfigError(f"{where}: {key} is no text", f'such as {key} = "{example}"')
    try:
        _read_hours(table["hours"])
        zone = zone_of(table["zone"]).key if "zone" in table else local_zone()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}", error.hint) from None
    return Window(name, table["hours"], zone, tuple(users), table.get("select", "all"))


def _read_hours(text: str) -> tuple[time, time, bool]:
    """Return when a window opens and closes, and whether it closes on the next day."""
    found = _HOURS.fullmatch(text)
    if found is None or (found[3] == "24" and found[4] != "00"):
        raise ConfigError(f"{quoted(text)} are no hours", "such as 22:00-06:00, or 18:00-24:00")
    opens, closes = time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))
    if opens == closes:
        raise ConfigError(f"{quoted(text)} begin when they end", "such as 22:00-06:00")
    return opens, closes, closes < opens


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return a local time in UTC: the first of two, and right behind the gap for a time that is left out."""
    local = datetime.combine(day, at)
    while (found := local.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != local:
        local += _MINUTE
    return found
