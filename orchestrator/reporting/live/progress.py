"""Show a run under way: live on a terminal, line by line elsewhere, or not at all."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.domain.conversation import Step
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, TrialChange, TrialState
from orchestrator.reporting.base import RunDisplay as RunDisplay
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import clean

REPEAT_S = 5.0
"""Time in seconds for which a line display keeps silent about new details of the same step."""

_COMING = frozenset({Step.CONNECT, Step.START_WORKER})
_UNFINISHED = frozenset({TrialState.PLANNED, TrialState.RUNNING})
_GOOD = frozenset({DeviceRunState.COMPLETE, DeviceRunState.RUNNING, DeviceRunState.PLANNED})
_TRIAL_STYLES = {TrialState.FAILED: "red", TrialState.SKIPPED: "red", TrialState.INVALID: "yellow"}

Clock = Callable[[], float]


def run_display(console: Console, *, silent: bool = False) -> RunDisplay:
    """Return a live display for a terminal, lines for a file, and no display for a program (`silent`)."""
    if silent:
        return SilentDisplay()
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else LineDisplay(console)


@dataclass(slots=True)
class _Progress:
    """Hold the progress of a device. `outcomes` has the present state of each trial, preflights included."""

    began_at: float
    step: str = ""
    detail: str = ""
    trials: int | None = None
    excluded: int = 0
    label: str = ""
    p50_ns: float | None = None
    temperature_c: float | None = None
    touched_at: float = 0.0
    ended: DeviceRunState | None = None
    arrived: bool = False
    outcomes: dict[str, TrialState] = field(default_factory=dict)
    preflights: set[str] = field(default_factory=set)

    @property
    def finished(self) -> int:
        """Return the number of ended trials. A trial of several attempts counts once."""
        return sum(state not in _UNFINISHED for state in self.outcomes.values())

    @property
    def count(self) -> str:
        """Return trial k of n. Without a plan n is left out."""
        return f"{self.finished}/{self.trials}" if self.trials is not None else str(self.finished)

    @property
    def tally(self) -> Counter[TrialState]:
        """Return the number of trials by state. A successful preflight is no measured trial."""
        return Counter(
            state
            for trial, state in self.outcomes.items()
            if state not in _UNFINISHED and not (state is TrialState.MEASURED and trial in self.preflights)
        )

    @property
    def preflights_ok(self) -> int:
        """Return the number of cells proved to work."""
        return sum(self.outcomes[trial] is TrialState.MEASURED for trial in self.preflights)

    def enter(self, step: str, detail: str) -> None:
        """Remember the step. With any step after connecting the device has arrived."""
        self.arrived = self.arrived or (self.step in _COMING and step not in _COMING)
        self.step, self.detail = step, detail

    @property
    def is_to_come(self) -> bool:
        """Say whether the device is still connected to for the first time."""
        return self.step in _COMING and not self.arrived and self.ended is None

    def plan(self, trials: int, excluded: int) -> None:
        """Expect more trials, beside the trials already shown."""
        self.arrived = True
        # A plan names the trials to come: after a restart some of this very command have been shown.
        self.trials, self.excluded = self.finished + trials, excluded

    def take(self, change: TrialChange) -> None:
        """Remember the change of a trial."""
        self.outcomes[change.trial] = change.state
        if change.kind == TrialKind.PREFLIGHT:
            self.preflights.add(change.trial)
        self.label = change.label
        # The last known value stays: a trial that begins has none yet, and the column would flicker.
        self.p50_ns = change.p50_ns if change.p50_ns is not None else self.p50_ns
        self.temperature_c = change.temperature_c if change.temperature_c is not None else self.temperature_c


class _Board:
    """Hold every device's progress, in the order of first mention."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.devices: dict[str, _Progress] = {}

    def touch(self, device: str) -> _Progress:
        now = self._clock()
        progress = self.devices.setdefault(device, _Progress(began_at=now))
        progress.touched_at = now
        return progress

    @property
    def coming(self) -> str | None:
        """Return the words for the devices still to come; None without such devices."""
        count = sum(progress.is_to_come for progress in self.devices.values())
        return f"connecting: {count} of {len(self.devices)} to come" if count else None


class SilentDisplay:
    """Stay silent, for a program reading the result."""

    def step(self, device: str, step: str, detail: str) -> None:
        """Ignore a step."""

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Ignore a warning."""

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Ignore a plan."""

    def changed(self, change: TrialChange) -> None:
        """Ignore a trial."""

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Ignore an end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class LineDisplay:
    """Print a line for each new step, each finished trial and each device's end."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._board = _Board(clock)
        self._width = 0
        self._told_coming_at = clock()

    def step(self, device: str, step: str, detail: str) -> None:
        """Print a new step, every rung of a recovery, and now and then new details of the same step."""
        known = self._board.devices.get(device)
        if known is not None and known.step == step:
            # An upload reports every block: a log file would be full of them.
            recent = self._clock() - known.touched_at < REPEAT_S and step != Step.RECOVER
            if known.detail == detail or recent:
                return
        self._board.touch(device).enter(step, detail)
        self._print(device, clean(f"{step}  {detail}"))
        self._tell_coming()

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Print a warning and the hint."""
        self._print(device, f"warning: {clean(message)}")
        if hint:
            self._print(device, f"hint: {clean(hint)}")

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Print the size of the plan, unless the number of trials is known."""
        progress = self._board.touch(device)
        before = progress.trials
        progress.plan(trials, excluded)
        if progress.trials == before:  # a resumed run announces its plans before the driver does
            return
        self._print(
            device,
            f"{_plural(trials, 'more trial' if progress.finished else 'trial')} planned"
            + _excluded(excluded)
            + (": benchfleet plan says why" if excluded else ""),
        )

    def changed(self, change: TrialChange) -> None:
        """Print an ended trial."""
        progress = self._board.touch(change.device)
        progress.take(change)
        if change.state not in _UNFINISHED:
            line = Text(f"{progress.count}  {clean(change.label)}  ")
            self._print(change.device, line.append_text(_outcome(change)))

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Print the end of a device, and the error's hint."""
        progress = self._board.touch(device)
        progress.ended = state
        self._print(device, _ending(device, progress, error))
        if hint:
            self._print(device, f"hint: {clean(hint)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def _tell_coming(self) -> None:
        """Print now and then the number of devices still to come."""
        now = self._clock()
        if now - self._told_coming_at >= REPEAT_S:
            self._told_coming_at = now
            if coming := self._board.coming:
                self._console.print(coming, soft_wrap=True)

    def _print(self, device: str, line: Text | str) -> None:
        name = clean(device)
        self._width = max(self._width, len(name))
        # soft_wrap: the lines of a log are not folded.
        self._console.print(Text.assemble((f"{name:<{self._width}}  ", "bold"), line), soft_wrap=True)


class LiveDisplay:
    """Keep a table of the busy devices, and a line about all devices, at the bottom of a terminal."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._board = _Board(clock)
        # rich draws from a thread of its own, while the driver's thread changes the board.
        self._lock = threading.Lock()
        self._began_at = clock()
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=4,
            transient=True,  # the table goes at the end, and the summary stays
            redirect_stdout=False,  # the result goes there, for a pipe
            vertical_overflow="crop",
        )

    def step(self, device: str, step: str, detail: str) -> None:
        """Show the step in the device's line."""
        with self._lock:
            self._board.touch(device).enter(step, detail)

    def warned(self, device: str, message: str, hint: str | None) -> None:
        """Print a warning and the hint above the table."""
        self._console.print(Text.assemble((f"{clean(device)}  ", "bold"), ("warning: ", "yellow"), clean(message)))
        if hint:
            self._console.print(Text(f"  hint: {clean(hint)}"))

    def planned(self, device: str, trials: int, excluded: int) -> None:
        """Show the size of the plan."""
        with self._lock:
            progress = self._board.touch(device)
            progress.plan(trials, excluded)

    def changed(self, change: TrialChange) -> None:
        """Count a trial, and print a failure above the table."""
        with self._lock:
            progress = self._board.touch(change.device)
            progress.take(change)
            count = progress.count
        # Outside of the lock: the console draws the table again, and takes the lock itself.
        if change.state in _TRIAL_STYLES:
            line = Text.assemble((f"{clean(change.device)}  ", "bold"), f"{count}  {clean(change.label)}  ")
            self._console.print(line.append_text(_outcome(change)))

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Take the device off the table, and print the end of the device above the table."""
        with self._lock:
            progress = self._board.touch(device)
            progress.ended = state
        self._console.print(Text.assemble((f"{clean(device)}  ", "bold"), _ending(device, progress, error)))
        if hint:
            self._console.print(Text(f"  hint: {clean(hint)}"))

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()  # without the lock, since the last drawing takes it
        with self._lock:
            summary = list(self._summary())
        for line in summary:
            self._console.print(line)

    def render(self) -> RenderableType:
        """Return the present drawing: as many busy devices as fit, and the line about all devices."""
        with self._lock:
            busy = {name: progress for name, progress in self._board.devices.items() if progress.ended is None}
            room = max(self._console.height - 5, 1)
            # The devices heard of last, in their usual order: lines that jump about cannot be read.
            newest = sorted(busy, key=lambda name: busy[name].touched_at, reverse=True)[:room]
            lines = [self._line(name, busy[name]) for name in busy if name in set(newest)]
            hidden = len(busy) - len(lines)
            parts: list[RenderableType] = [plain_table(_COLUMNS, lines)] if lines else []
            if hidden:
                parts.append(Text(f"… and {_plural(hidden, 'more device')}", style="dim"))
            return Group(*parts, *self._summary())

    def _line(self, name: str, progress: _Progress) -> tuple[Text | str, ...]:
        in_trials = bool(progress.outcomes)
        temperature = progress.temperature_c
        return (
            name,
            "running" if in_trials else progress.step,
            progress.count if progress.trials is not None or in_trials else "",
            progress.label if in_trials else progress.detail,
            "" if progress.p50_ns is None else numbers.nanoseconds(progress.p50_ns),
            "" if temperature is None else f"{temperature:.0f} °C",
            numbers.duration(round(self._clock() - progress.began_at)),
        )

    def _summary(self) -> Iterator[Text]:
        """Yield the line about all devices. Without devices, as of a refused command, there is no line."""
        devices = self._board.devices.values()
        if not devices:
            return
        states = Counter("busy" if progress.ended is None else progress.ended.value for progress in devices)
        parts = [f"{count} {state}" for state, count in sorted(states.items())]
        finished = sum(progress.finished for progress in devices)
        planned = [progress.trials for progress in devices if progress.ended is None or progress.trials is not None]
        known = [trials for trials in planned if trials is not None]
        # A total would be too small while the plan of a device is not known.
        trials = f"{finished}/{sum(known)} trials" if len(known) == len(planned) else _plural(finished, "trial")
        troubles = ", ".join(_troubles(Counter(state for progress in devices for state in progress.outcomes.values())))
        parts.append(f"{trials} ({troubles})" if troubles else trials)
        if coming := self._board.coming:
            parts.append(coming)
        parts.append(numbers.duration(round(self._clock() - self._began_at)))
        yield Text(" · ".join(parts), style="bold")


_COLUMNS = (
    Column("device"),
    Column("state"),
    Column("trial", right=True),
    Column("cell", shorten=True),
    Column("p50", right=True),
    Column("temp", right=True, spare=True),
    Column("elapsed", right=True, spare=True),
)


def _outcome(change: TrialChange) -> Text:
    style = _TRIAL_STYLES.get(change.state, "")
    if change.state is TrialState.PLANNED and change.failure:  # cancelled: it is to be run yet
        return Text(clean(change.failure))
    if change.state is not TrialState.MEASURED:
        return Text(clean(f"{change.state.value}: {change.failure}" if change.failure else change.state.value), style)
    if change.p50_ns is not None:
        return Text(f"p50 {numbers.nanoseconds(change.p50_ns)}")
    return Text(f"{change.kind} ok" if change.kind == TrialKind.PREFLIGHT else "measured")


def _ending(device: str, progress: _Progress, error: str | None) -> Text:
    tally, state = progress.tally, progress.ended
    text = Text(str(state), style="green" if state is DeviceRunState.COMPLETE else "" if state in _GOOD else "red")
    if error:
        return text.append(f": {clean(error.removeprefix(f'{device}: '))}")
    parts = [f"{tally[TrialState.MEASURED]} measured", *_troubles(tally)]
    if progress.preflights_ok:
        parts.append(f"{_plural(progress.preflights_ok, 'preflight')} ok")
    return text.append("  " + ", ".join(parts) + _excluded(progress.excluded), style="default")


def _troubles(tally: Counter[TrialState]) -> Iterable[str]:
    return [f"{tally[state]} {state.value}" for state in _TRIAL_STYLES if tally[state]]


def _excluded(count: int) -> str:
    return f", {_plural(count, 'cell')} excluded" if count else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
