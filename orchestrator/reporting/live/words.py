"""Word what a run's display tells: outcomes, ends, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.text import Text

from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, TrialChange, TrialState
from orchestrator.reporting.live.board import TROUBLES, Progress
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import clean, short_reason

STYLES = {TrialState.FAILED: "red", TrialState.SKIPPED: "red", TrialState.INVALID: "yellow"}
_GOOD = frozenset({DeviceRunState.COMPLETE, DeviceRunState.RUNNING, DeviceRunState.PLANNED})


def outcome(change: TrialChange, *, is_known: bool = False) -> Text:
    """Return the outcome of a trial's attempt. A reason that `is_known` is not told again."""
    if change.state is TrialState.PLANNED and change.failure:  # cancelled: it is to be run yet
        return Text(clean(change.failure))
    if change.state is not TrialState.MEASURED:
        reason = "as before" if is_known else short_reason(change.failure)
        state = change.state.value
        return Text(f"{state}: {reason}" if reason else state, STYLES.get(change.state, ""))
    if change.p50_ns is not None:
        return Text(f"p50 {numbers.nanoseconds(change.p50_ns)}")
    return Text("measured" if change.kind == TrialKind.MEASURE else f"{change.kind} ok")


def ending(device: str, progress: Progress, error: str | None) -> Text:
    """Return how a device ended."""
    tally, state = progress.tally, progress.ended
    text = Text(str(state), style="green" if state is DeviceRunState.COMPLETE else "" if state in _GOOD else "red")
    if error:
        return text.append(f": {clean(error.removeprefix(f'{device}: '))}")
    parts = [f"{tally[TrialState.MEASURED]} measured", *troubles(tally)]
    if progress.again:
        parts.append(f"{len(progress.again)} tried again")
    if progress.preflights_ok:
        parts.append(f"{plural(progress.preflights_ok, 'preflight')} ok")
    return text.append("  " + ", ".join(parts) + and_excluded(progress.excluded), style="default")


def troubles(tally: Counter[TrialState]) -> Iterable[str]:
    """Return the counts of trials without a value, by state."""
    return [f"{tally[state]} {state.value}" for state in TROUBLES if tally[state]]


def and_excluded(count: int) -> str:
    """Return the count of excluded cells as the end of a sentence."""
    return f", {plural(count, 'cell')} excluded" if count else ""


def plural(count: int, noun: str) -> str:
    """Return a count with a noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
