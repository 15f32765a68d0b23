"""Describe boards: panels with SQL and units, variables, and events that are drawn over a time axis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from dashboards.questions import questions


class Unit(Enum):
    """Name a unit: Grafana's id, the word for numbers that Grafana scales, and the word for numbers as they are."""

    NANOSECONDS = ("ns", "ns", "ns")
    MILLISECONDS = ("ms", "ms", "ms")
    SECONDS = ("s", "s", "s")
    MINUTES = ("m", "min", "min")
    HOURS = ("h", "h", "h")
    BYTES = ("bytes", "bytes", "bytes")
    MEGABYTES = ("decmbytes", "MB", "MB")
    WATTS = ("watt", "W", "W")
    MILLIJOULES = ("si:mJ", "J", "mJ")  # the m is the scale of the numbers, not of the drawing
    HERTZ = ("hertz", "Hz", "Hz")
    MEGAHERTZ = ("si:MHz", "Hz", "MHz")
    CELSIUS = ("celsius", "°C", "°C")
    PERCENT = ("percent", "percent", "percent")
    SHARE = ("percentunit", "percent", "share")
    RATIO = ("none", "ratio", "ratio")
    LOAD = ("none", "processes", "processes")
    NUMBER = ("none", "number", "number")
    COUNT = ("none", "count", "count")

    def __init__(self, grafana: str, word: str, plain_word: str) -> None:
        self.grafana = grafana
        self.word = word
        self.plain_word = plain_word


class Kind(StrEnum):
    """Name a plugin of Grafana that draws a panel."""

    TIME = "timeseries"
    TABLE = "table"
    STAT = "stat"
    BARS = "barchart"
    SCATTER = "xychart"


@dataclass(frozen=True, slots=True)
class Panel:
    """Describe a panel. A time axis wants `time`, perhaps `metric` for the name of a line, and numbers.

    Grafana gives a panel of one unit that unit. A panel of several has plain numbers, and the names of columns tell. A
    panel of text alone has none.
    """

    title: str
    units: tuple[Unit, ...]
    sql: str
    kind: Kind = Kind.TIME
    width: int = 12
    note: str = ""
    bars: bool = False

    @property
    def unit(self) -> str:
        """Return Grafana's id of the unit of all numbers."""
        return self.units[0].grafana if len(self.units) == 1 else Unit.COUNT.grafana

    @property
    def full_title(self) -> str:
        """Return the title with all units."""
        words = [unit.word if len(self.units) == 1 else unit.plain_word for unit in self.units]
        return f"{self.title} ({', '.join(words)})" if words else self.title


@dataclass(frozen=True, slots=True)
class Variable:
    """Describe a choice of the reader. `SQL` lists what there is; several may be chosen, and all are at first."""

    name: str
    sql: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Events:
    """Describe events with `time` and `text`, perhaps `timeend` and `tags`, which are drawn over every time axis."""

    name: str
    colour: str
    sql: str


@dataclass(frozen=True, slots=True)
class Board:
    """Describe a board. The name is part of its file's name and of its address."""

    name: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    events: tuple[Events, ...] = ()


def asked(name: str, *units: Unit, width: int = 12) -> Panel:
    """Return a table that answers a saved question, whatever the variables and the time range are."""
    question = next(question for question in questions() if question.name == name)
    note = f"{question.notes} Time range and choices above do not limit it.".strip()
    return Panel(question.title, units, question.sql, Kind.TABLE, width, note)
