"""One run in full, as the database knows it."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.measurement import CellResult, setting_text
from orchestrator.domain.metric import metric_named
from orchestrator.domain.recovery import RecoveryEvent, Rung
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    ExcludedCell,
    MissingTrial,
    RunRecord,
    RunState,
    TrialState,
)
from orchestrator.reporting import numbers
from orchestrator.reporting.columns import Column, plain_table
from orchestrator.reporting.run_list import RUN_STYLES, took
from orchestrator.reporting.text import clean, shown

_DEVICE_STYLES: Mapping[DeviceRunState, str] = {
    DeviceRunState.COMPLETE: "green",
    DeviceRunState.CANCELLED: "yellow",
    DeviceRunState.STOPPED: "red",
    DeviceRunState.FAILED: "red",
}
_RETRIED = (TrialState.FAILED, TrialState.INVALID)
_DEVICE_COLUMNS = (
    Column("device"),
    Column("state"),
    Column("measured", right=True),
    Column("invalid", right=True),
    Column("failed", right=True),
    Column("skipped", right=True),
    Column("open", right=True),
    Column("error", fold=True),
)
_JOB_COLUMNS = (
    Column("device"),
    Column("cell", fold=True),
    Column("n", right=True),
    Column("value", right=True),
    Column("lowest", right=True, spare=True),
    Column("highest", right=True, spare=True),
    Column("size", right=True),
    Column("accuracy", right=True),
)
_EXCLUDED_COLUMNS = (Column("device"), Column("cell", fold=True), Column("reason", fold=True))
_RECOVERY_COLUMNS = (
    Column("device"),
    Column("at", spare=True),
    Column("rung"),
    Column("helped"),
    Column("because", fold=True),
)
_MISSING_COLUMNS = (
    Column("device"),
    Column("cell", fold=True),
    Column("trials", right=True),
    Column("state"),
    Column("reason", fold=True),
)


@dataclass(frozen=True, slots=True)
class RunDetails:
    """All that `runs show` shows: a run, one metric of its jobs, what it lacks, and what was tried for its devices."""

    record: RunRecord
    missing: Sequence[MissingTrial]
    results: Sequence[CellResult]
    excluded: Sequence[ExcludedCell] = ()
    recovery: Sequence[RecoveryEvent] = ()


def run_report(details: RunDetails) -> RenderableType:
    """Return a run in full."""
    record = details.record
    parts: list[RenderableType] = [
        _title(record),
        Text(),
        plain_table(_DEVICE_COLUMNS, map(_device_row, record.devices)),
    ]
    for device in record.devices:
        if device.hint:
            parts.append(Text.assemble(("hint: ", "bold"), f"{clean(device.device)}: {clean(device.hint)}"))
    if details.results:
        metric = details.results[0].metric
        heading = Text(f"{clean(metric)}, geometric mean over trials", style="bold cyan")
        parts += [Text(), heading, plain_table(_JOB_COLUMNS, map(_job_row, details.results))]
    if details.excluded:
        rows = ((cell.device, cell.label, cell.reason) for cell in details.excluded)
        parts += [Text(), Text("cells that were not planned", style="bold cyan"), plain_table(_EXCLUDED_COLUMNS, rows)]
    if details.recovery:
        heading = Text("what was tried for devices that failed", style="bold cyan")
        parts += [Text(), heading, plain_table(_RECOVERY_COLUMNS, map(_recovery_row, details.recovery))]
    if details.missing:
        heading = Text("trials without a usable result", style="bold cyan")
        parts += [Text(), heading, plain_table(_MISSING_COLUMNS, _missing_rows(details.missing))]
        if any(trial.state in _RETRIED for trial in details.missing) and record.state is not RunState.ACTIVE:
            remedy = f"benchfleet runs resume {clean(record.header.run)} --retry-failed runs them again"
            parts.append(Text.assemble(("hint: ", "bold"), remedy))
    return Group(*parts)


def comparison_to_try(results: Sequence[CellResult]) -> str | None:
    """Return the command that compares what the newest run varied; None where it measured nothing but one cell."""
    cells = [result.cell.coordinates for result in results if result.trial_values]
    for by in dict.fromkeys(("variant", "runtime", *(name for cell in cells for name in cell))):
        values = list(dict.fromkeys(setting_text(cell.get(by)) for cell in cells))
        if len(values) > 1:
            return f"benchfleet compare last --by {by} --base {shlex.quote(values[0])}"
    return None


def _title(record: RunRecord) -> Text:
    header = record.header
    title = Text.assemble(("run ", "bold"), (clean(header.run), "bold"), " · ")
    title.append(record.state.value, style=RUN_STYLES[record.state])
    facts = (clean(header.sweep), clean(header.model), f"seed {header.seed}", f"began {numbers.utc(header.started_at)}")
    title.append("".join(f" · {fact}" for fact in facts))
    return (
        title.append(f" · took {took(header.started_at, record.finished_at)}")
        if record.finished_at is not None
        else title
    )


def _device_row(device: DeviceRun) -> tuple[Text | str | None, ...]:
    open_trials = device.trials.get(TrialState.PLANNED, 0) + device.trials.get(TrialState.RUNNING, 0)
    counted = (TrialState.MEASURED, TrialState.INVALID, TrialState.FAILED, TrialState.SKIPPED)
    return (
        device.device,
        Text(device.state.value, style=_DEVICE_STYLES.get(device.state, "")),
        *(str(device.trials.get(state, 0)) for state in counted),
        str(open_trials),
        # the line begins with the device already
        shown(device.error.removeprefix(f"{device.device}: ") if device.error else ""),
    )


def _job_row(result: CellResult) -> tuple[str | None, ...]:
    unit, values = metric_named(result.metric).unit, result.trial_values
    settings = (f"{name}={setting_text(value)}" for name, value in sorted(result.cell.settings.items()))
    return (
        result.cell.device,
        " · ".join((result.cell.variant, result.cell.runtime, *settings)),
        str(len(values)),
        # the very value that a comparison shows; like there, none where a trial's is not above zero
        numbers.quantity(statistics.geometric_mean(values) if values and min(values) > 0 else None, unit),
        numbers.quantity(min(values, default=None), unit),
        numbers.quantity(max(values, default=None), unit),
        numbers.size(result.size_bytes),
        None if result.accuracy is None else f"{result.accuracy:.3f}",
    )


def _recovery_row(event: RecoveryEvent) -> tuple[str | None, ...]:
    known = event.succeeded is not None and event.rung is not Rung.QUARANTINE  # which helps nobody
    helped = ("yes" if event.succeeded else "no") if known else None
    reason = event.reason.removeprefix(f"{event.device}: ")  # the line begins with the device already
    return event.device, numbers.utc(event.began_at), event.rung.value, helped, reason


def _missing_rows(missing: Sequence[MissingTrial]) -> Iterator[tuple[str, ...]]:
    """Say once what several trials of a cell have in common."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for trial in missing:
        reason = trial.reason.removeprefix(f"{trial.device}: ")  # the line begins with the device already
        key = (trial.device, trial.label, trial.state.value, reason)
        counts[key] = counts.get(key, 0) + 1
    for (device, label, state, reason), count in counts.items():
        yield device, label, str(count), state, reason
