"""Draw the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.console import Group
from rich.text import Text

from orchestrator.domain.moments import distance, noted
from orchestrator.domain.submission import OVER, QueueEntry, QueueView, Submission, SubmissionState
from orchestrator.domain.window import Window
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.run_list import device_words
from orchestrator.reporting.text import ABSENT, shown

_STYLES: Mapping[SubmissionState, str] = {
    SubmissionState.WAITING: "",
    SubmissionState.HELD: "yellow",
    SubmissionState.RUNNING: "cyan",
    SubmissionState.ENDED: "green",
    SubmissionState.FAILED: "red",
    SubmissionState.CANCELLED: "yellow",
}
_COLUMNS = (
    Column("run"),
    Column("name", spare=2),
    Column("sweep", fold=True, spare=5),
    Column("by"),
    Column("priority", right=True, spare=4),
    Column("state"),
    Column("devices", spare=3),
    Column("begins", spare=6),
    Column("takes", right=True, spare=1),
    Column("why", prose=True),
)
_UNKNOWN = "unknown"


def queue_table(view: QueueView, limit: int) -> Group:
    """Return a line for each submission, and below who works and who had the devices."""
    shown_entries = view.entries[:limit]
    table = plain_table(_COLUMNS, (_row(entry, view.now) for entry in shown_entries))
    return Group(table, *_lines(view, len(view.entries) - len(shown_entries)))


def submission_line(one: Submission) -> Text:
    """Return where a submission stands, in a sentence."""
    why = f": {one.error}" if one.error else ""
    ending = " (its daemon ends the run within seconds)" if one.stops and one.state not in OVER else ""
    return shown(f"{one.run} ({one.sweep} on {one.select}) is {one.state.value}, priority {one.priority}{why}{ending}")


def _lines(view: QueueView, hidden: int) -> list[Text]:
    lines = [shown(f"and {hidden} more: --limit {len(view.entries)}")] if hidden > 0 else []
    if view.daemons:
        lines += [
            shown(f"daemon: {one.words}, since {distance(one.began_at, view.now)}, {len(one.devices)} devices")
            for one in view.daemons
        ]
    else:
        lines.append(shown("no daemon is running: benchfleet daemon"))
    lines += [shown(_window_words(window, view.now)) for window in _windows(view)]
    if view.shares:
        shares = sorted(view.shares.items(), key=lambda share: -share[1])
        words = ", ".join(f"{person} {numbers.duration(seconds)}" for person, seconds in shares if seconds)
        lines.append(shown(f"device time over the last day: {words or 'none'}"))
    return lines


def _windows(view: QueueView) -> list[Window]:
    return list(dict.fromkeys(window for daemon in view.daemons for window in daemon.windows))


def _window_words(window: Window, now: datetime) -> str:
    closes = window.closes_at(now)
    state = f"opens {noted(window.opens_at(now), now)}" if closes is None else f"open until {noted(closes, now)}"
    people = f", for {', '.join(window.users)}" if window.users else ""
    return f"window {window.name}: {window.hours} {window.zone}{people}; {state}"


def _row(entry: QueueEntry, now: datetime) -> tuple[Text | str | None, ...]:
    one = entry.submission
    state = "incomplete" if one.state is SubmissionState.ENDED and one.error else one.state.value
    return (
        one.run,
        one.words.name,
        one.sweep,
        one.holder,
        str(one.priority),
        Text(state, style="yellow" if state == "incomplete" else _STYLES[one.state]),
        device_words(sorted(one.device_s)) if one.device_s else _UNKNOWN,
        _begins(entry, now),
        _takes(one),
        entry.reason or one.error,
    )


def _begins(entry: QueueEntry, now: datetime) -> str:
    one = entry.submission
    if one.state in OVER:
        return ABSENT
    if entry.begins_at is None:
        return _UNKNOWN
    return distance(entry.begins_at, now)


def _takes(one: Submission) -> str:
    """Return the longest time on a device: devices work side by side."""
    seconds = list((one.device_s or {}).values())
    if not seconds or None in seconds:
        return _UNKNOWN
    return numbers.duration(max(second for second in seconds if second is not None))
