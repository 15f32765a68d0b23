"""Draw the board of a run for a terminal of some width and height: whole names, whole numbers, the same content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from orchestrator.domain.run import count_trials
from orchestrator.reporting.cell_names import parts_of, shared_words, short_label
from orchestrator.reporting.live.board import Board, Progress
from orchestrator.reporting.live.words import plural
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import GAP
from orchestrator.reporting.text import clean

_COLUMNS = ("device", "state", "trial", "cell", "p50", "temp", "elapsed")
_RIGHT = frozenset({"trial", "p50", "temp", "elapsed"})
_SPARE = ("elapsed", "temp")
"""What a narrow terminal leaves out first."""
_TROUBLE_SHARE = 3
"""The part of the lines, one in so many, that failures may take where devices want the room."""
_FAILURE_LINES = 2
_INDENT = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold the size of a terminal, and the time since the beginning in seconds."""

    width: int
    height: int
    now: float
    began_at: float


def board_lines(board: Board, frame: Frame, shown_before: Collection[str] = ()) -> tuple[list[Text], Sequence[str]]:
    """Return the lines of a drawing, no more and no wider than the terminal, and the devices among them.

    A device with a failure comes first, then a device at work. Devices of `shown_before` stay.
    """
    busy = {name: progress for name, progress in board.devices.items() if progress.ended is None}
    shared = frozenset(board.shared_parts())
    below = summary_lines(board, frame)
    room = max(frame.height - 1 - len(below), 1)
    failures = _failures(board, shared, frame.width, max(room // _TROUBLE_SHARE, 2))
    room -= len(failures)

    def rank(name: str) -> tuple[bool, bool, bool, float]:
        progress = busy[name]
        return not progress.is_failing, not progress.outcomes, name not in shown_before, -progress.touched_at

    table = _Table(busy, shared, frame)
    names = table.fitting(sorted(busy, key=rank), room)
    return [*table.lines(names)[: max(room, 0)], *failures, *below], names


class _Table:
    """Lay out devices in columns, or, where the columns are too wide, each on lines of its own."""

    def __init__(self, busy: dict[str, Progress], shared: frozenset[str], frame: Frame) -> None:
        self._busy = busy
        self._shared = shared
        self._frame = frame

    def fitting(self, ranked: Sequence[str], room: int) -> list[str]:
        """Return as many devices as have room, in their usual order. Lines that jump about cannot be read."""
        count = min(len(ranked), room)
        while count > 1 and len(self.lines(self._in_order(ranked[:count]))) > room:
            # A line of columns is a device. Where a device has several lines, the overhang says how many are too many.
            count -= max((len(self.lines(self._in_order(ranked[:count]))) - room) // 4, 1)
        return self._in_order(ranked[:count])

    def lines(self, names: Sequence[str]) -> list[Text]:
        """Return the lines of devices, the shared parts of cells, and counts of the devices left out."""
        rows = {name: _row(name, self._busy[name], self._shared, self._frame) for name in names}
        lines = self._columns(rows) or [line for row in rows.values() for line in _stacked(row, self._frame.width)]
        if self._shared and any(self._busy[name].outcomes for name in names):
            lines += _folded(clean(shared_words(self._in_name_order())), self._frame.width, "dim")
        left_out = [progress for name, progress in self._busy.items() if name not in rows]
        if left_out:
            states = Counter(progress.state for progress in left_out)
            counts = ", ".join(f"{count} {clean(state)}" for state, count in states.most_common())
            words = f"… and {plural(len(left_out), 'more device')}: {counts}"
            lines += _folded(words, self._frame.width, "dim")
        return lines

    def _in_order(self, names: Collection[str]) -> list[str]:
        wanted = set(names)
        return [name for name in self._busy if name in wanted]

    def _in_name_order(self) -> list[str]:
        labels = (progress.label for progress in self._busy.values() if progress.label)
        return [part for part in parts_of(next(labels, "")) if part in self._shared]

    def _columns(self, rows: dict[str, dict[str, str]]) -> list[Text]:
        """Return the devices in columns below a heading; nothing where the columns have no room."""
        kept = [name for name in _COLUMNS if rows]
        widths = {name: max([cell_len(name), *_lengths(name, rows)]) for name in kept}
        for spare in ("", *_SPARE):
            kept = [name for name in kept if name != spare]
            if kept and sum(widths[name] for name in kept) + GAP * (len(kept) - 1) <= self._frame.width:
                heading = _side_by_side({name: name for name in kept}, widths, kept)
                heading.stylize("bold")
                lines = [heading, *(_line(row, widths, kept) for row in rows.values())]
                return lines if all(cell_len(line.plain) <= self._frame.width for line in lines) else []
        return []


def _row(name: str, progress: Progress, shared: frozenset[str], frame: Frame) -> dict[str, str]:
    in_trials = bool(progress.outcomes)
    p50 = progress.p50_ns.get(progress.label)
    cell = clean(short_label(progress.label, shared)) if in_trials else clean(progress.detail)
    if progress.lost_at is not None:
        cell, p50 = f"link lost {numbers.duration(round(frame.now - progress.lost_at))}, device goes on", None
    elif progress.state == progress.step:
        cell, p50 = clean(progress.detail), None
    return {
        "device": clean(name),
        "state": clean(progress.retry_round or progress.state),
        "trial": progress.count if progress.trials is not None or in_trials else "",
        "cell": cell,
        # The newest value of this very cell. Another cell's value beside the name would read as this cell's.
        "p50": "" if p50 is None else numbers.nanoseconds(p50),
        "temp": "" if progress.temperature_c is None else f"{progress.temperature_c:.0f} °C",
        "elapsed": numbers.duration(round(frame.now - progress.began_at)),
        "style": "yellow" if progress.lost_at is not None else "",
        "lost": "yes" if progress.lost_at is not None else "",
    }


def _lengths(name: str, rows: dict[str, dict[str, str]]) -> list[int]:
    """Return how wide the values of a column are. The words about a lost link are wider than any cell, and are none."""
    return [cell_len(row[name]) for row in rows.values() if name != "cell" or not row["lost"]]


def _line(row: dict[str, str], widths: dict[str, int], kept: Sequence[str]) -> Text:
    """Return a device's line of a table. The words about a lost link take the place of the columns."""
    if not row["lost"]:
        return _side_by_side(row, widths, kept, row["style"])
    first = _side_by_side(row, widths, kept[: kept.index("cell")], row["style"])
    return first.append(" " * GAP + row["cell"])


def _side_by_side(row: dict[str, str], widths: dict[str, int], kept: Sequence[str], style: str = "") -> Text:
    cells = []
    for name in kept:
        blanks = " " * (widths[name] - cell_len(row[name]))
        cells.append(blanks + row[name] if name in _RIGHT else row[name] + blanks)
    return Text((" " * GAP).join(cells).rstrip(), style, no_wrap=True)


def _stacked(row: dict[str, str], width: int) -> Iterator[Text]:
    """Yield a device's name, and below the name what else there is, each figure whole."""
    yield from _folded(row["device"], width, "bold")
    figures = [row[name] for name in ("state", "trial", "p50", "temp") if row[name]]
    yield from _packed(figures, width - _INDENT, row["style"])
    if row["cell"]:
        yield from (Text.assemble(" " * _INDENT, line) for line in _folded(row["cell"], width - _INDENT))


def _packed(figures: Sequence[str], width: int, style: str) -> Iterator[Text]:
    """Yield figures in as few lines as have room, and break none."""
    line = ""
    for figure in figures:
        longer = f"{line}{' ' * GAP}{figure}" if line else figure
        if line and cell_len(longer) > width:
            yield Text(" " * _INDENT + line, style)
            longer = figure
        line = longer
    if line:
        yield Text(" " * _INDENT + line, style)


def _folded(text: str, width: int, style: str = "") -> list[Text]:
    """Return a text in lines. A word is broken only where the word alone is wider than the terminal."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and cell_len(longer) > width:
            lines.append(line)
            longer = word
        while cell_len(longer) > width:
            head = longer[:width]
            while cell_len(head) > width:
                head = head[:-1]
            lines.append(head)
            longer = longer[len(head) :]
        line = longer
    return [Text(one, style, no_wrap=True) for one in [*lines, line]]


def _failures(board: Board, shared: frozenset[str], width: int, room: int) -> list[Text]:
    """Return the failures, each in short, that have room, and the count of the others."""
    found = [*_failure_words(board, shared)]
    lines: list[Text] = []
    for place, words in enumerate(found):
        block = _in_short(words, width)
        if lines and len(lines) + len(block) > room - 1:
            more = f"… and {plural(len(found) - place, 'more failure')}: benchfleet runs show has all"
            return [*lines, *_folded(more, width, "dim")]
        lines += block
    return lines


def _in_short(words: str, width: int) -> list[Text]:
    """Return a failure in two lines at most: the report has the whole message."""
    lines = _folded(words, width, "red")
    if len(lines) <= _FAILURE_LINES:
        return lines
    last = lines[_FAILURE_LINES - 1].plain.rsplit(" ", 1)[0]
    return [*lines[: _FAILURE_LINES - 1], *_folded(f"{last} …", width, "red")[:1]]


def _failure_words(board: Board, shared: frozenset[str]) -> Iterator[str]:
    """Yield a text for each device that ended with an error, and for each cell with a failure, the newest first."""
    newest = sorted(board.devices.items(), key=lambda item: -item[1].touched_at)
    for name, progress in newest:
        if progress.error:
            yield f"{clean(name)}  {progress.ended}: {clean(progress.error.removeprefix(f'{name}: '))}"
    for name, progress in newest:
        for label, trouble in progress.troubles.items():
            yield f"{clean(name)}  {clean(short_label(label, shared))}  {clean(trouble.sentence)}"


def lasting_lines(board: Board, frame: Frame, *, with_failures: bool) -> list[Text]:
    """Return the lines that stay on the terminal."""
    if not with_failures:
        return summary_lines(board, frame)
    hints = dict.fromkeys(one.hint for one in board.devices.values() if one.hint)
    return [
        *(Text(words, "red") for words in _failure_words(board, frozenset())),
        *(Text(f"hint: {clean(hint)}") for hint in hints),
        *summary_lines(board, frame),
    ]


def summary_lines(board: Board, frame: Frame) -> list[Text]:
    """Return the line about all devices. Without devices, as of a refused command, there is no line."""
    devices = board.devices.values()
    if not devices:
        return []
    states = Counter("busy" if progress.ended is None else progress.ended.value for progress in devices)
    parts = [f"{count} {state}" for state, count in sorted(states.items())]
    finished = sum(progress.finished for progress in devices)
    planned = [progress.trials for progress in devices if progress.ended is None or progress.trials is not None]
    known = [trials for trials in planned if trials is not None]
    # A total would be too small while the plan of a device is not known.
    trials = f"{finished}/{sum(known)} trials" if len(known) == len(planned) else plural(finished, "trial")
    again, attempts = (sum(counted) for counted in zip(*(progress.tried_again for progress in devices), strict=True))
    trials += f", {again} tried again" if again else ""
    trials += f" {attempts} times" if attempts > again else ""
    found = count_trials([progress.tally for progress in devices]).shortfall
    parts.append(f"{trials} ({found})" if found else trials)
    if coming := board.coming:
        parts.append(coming)
    parts.append(numbers.duration(round(frame.now - frame.began_at)))
    return _folded(" · ".join(parts), frame.width, "bold")
