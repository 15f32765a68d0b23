"""Show a run under way line by line, for files and logs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from orchestrator.domain.conversation import Step
from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.reporting.live.board import UNFINISHED, Board, Clock
from orchestrator.reporting.live.words import and_excluded, ending, outcome, plural
from orchestrator.reporting.text import clean

REPEAT_S = 5.0
"""Time in seconds for which the display keeps silent about new details of the same step."""


class LineDisplay:
    """Print a line for each new step, each finished trial and each device's end."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._board = Board(clock)
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
        was_lost = known is not None and known.lost_at is not None
        progress = self._board.touch(device)
        progress.enter(step, detail, self._clock())
        words = f"{step}  {detail}"
        if progress.lost_at is not None and not was_lost:
            words = f"{step}  {detail}: link lost, device goes on"
        self._print(device, clean(words))
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
            f"{plural(trials, 'more trial' if progress.finished else 'trial')} planned"
            + and_excluded(excluded)
            + (": benchfleet plan says why" if excluded else ""),
        )

    def changed(self, change: TrialChange) -> None:
        """Print an ended trial. The reason of a failure is told once for each cell."""
        is_news = self._board.take(change)
        if change.state not in UNFINISHED:
            count = self._board.devices[change.device].count_with_retries
            line = Text(f"{count}  {clean(change.label)}  ")
            self._print(change.device, line.append_text(outcome(change, is_known=not is_news)))

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Print the end of a device, and the error's hint."""
        progress = self._board.touch(device)
        progress.end(state, error, hint)
        self._print(device, ending(device, progress, error))
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
