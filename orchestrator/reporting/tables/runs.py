"""Draw a run in full."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.measurement import CellResult, cell_label
from orchestrator.domain.metric import Unit, metric_named
from orchestrator.domain.power import PowerUse
from orchestrator.domain.recovery import RecoveryEvent, Rung
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    MissingTrial,
    RunEffort,
    RunRecord,
    RunState,
    SparedCell,
    TrialState,
    count_trials,
)
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.sweep import setting_text
from orchestrator.reporting.cell_names import shared_parts, shared_words, short_label
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.commands import HintLines
from orchestrator.reporting.tables.conditions import condition_lines
from orchestrator.reporting.tables.run_list import RUN_STYLES, took
from orchestrator.reporting.tables.run_words import word_lines
from orchestrator.reporting.text import clean, short_reason, shown

SCATTER_WORRYING = 1.2
"""The ratio of a cell's highest trial to the lowest, from which on the value is doubtful."""

_DEVICE_STYLES: Mapping[DeviceRunState, str] = {
    DeviceRunState.COMPLETE: "green",
    DeviceRunState.CANCELLED: "yellow",
    DeviceRunState.STOPPED: "red",
    DeviceRunState.FAILED: "red",
}
_NAMED_MAX = 3
_RETRIED = (TrialState.FAILED, TrialState.INVALID)
_DEVICE_COLUMNS = (
    Column("device"),
    Column("state"),
    Column("measured", right=True),
    Column("invalid", right=True),
    Column("failed", right=True),
    Column("missing", right=True),
    Column("error", prose=True),
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
_POWER_COLUMNS = (
    Column("device"),
    Column("source"),
    Column("trials", right=True),
    Column("rate", right=True),
    Column("idle", right=True),
    Column("cost", right=True, spare=True),
    Column("remarks", prose=True),
)
_VALUES = (
    "lowest and highest are trials. compare sets far trials aside and gives intervals; v_latest and v_cell (SQL) give "
    "medians of trials."
)
_EXCLUDED_COLUMNS = (Column("device"), Column("cell", fold=True), Column("reason", prose=True))
_RECOVERY_COLUMNS = (
    Column("device"),
    Column("at", spare=True),
    Column("rung"),
    Column("helped"),
    Column("because", prose=True),
)
_MISSING_COLUMNS = (
    Column("device"),
    Column("cell", fold=True),
    Column("trials", right=True),
    Column("state"),
    Column("reason", prose=True),
)


def run_report(details: RunDetails) -> RenderableType:
    """Return a run in full."""
    record = details.record
    parts: list[RenderableType] = [
        _title(record, details.effort),
        *word_lines(record.words),
        Text(),
        plain_table(_DEVICE_COLUMNS, [_device_row(device) for device in record.devices]),
    ]
    for device in record.devices:
        if device.hint:
            parts.append(HintLines(device.hint, device.device))
    if details.results:
        metric = details.results[0].metric
        heading = Text(f"{clean(metric)}, geometric mean over trials", style="bold cyan")
        named = _named(details.results)
        shared = shared_parts([label for label, _ in named])
        parts += [Text(), heading, *_jobs([(short_label(label, shared), one) for label, one in named], shared)]
        others = sorted({result.cell.device for result in details.results if result.shared})
        if others:
            names = ", ".join(map(clean, others))
            parts.append(Text(f"measured on a machine that others could use (exclusive: false): {names}"))
    parts += [Text(line) for line in _spared_lines(details.spared)]
    parts += [Text(clean(line)) for line in _remark_lines(details.remarks)]
    parts += [Text(clean(line)) for use in details.conditions for line in condition_lines(use)]
    measured = [use for use in details.power if use.source is not None]
    if measured:
        heading = Text("how power was measured", style="bold cyan")
        parts += [Text(), heading, plain_table(_POWER_COLUMNS, map(_power_row, measured))]
    parts += [Text(clean(line)) for line in dict.fromkeys(map(_no_power, details.power)) if line is not None]
    if details.excluded:
        common = shared_parts([cell.label for cell in details.excluded])
        rows = [(cell.device, short_label(cell.label, common), cell.reason) for cell in details.excluded]
        parts += [Text(), Text("cells that were not planned", style="bold cyan"), plain_table(_EXCLUDED_COLUMNS, rows)]
        parts += _common_line(common)
    if details.recovery:
        heading = Text("what was tried for devices that failed", style="bold cyan")
        parts += [Text(), heading, plain_table(_RECOVERY_COLUMNS, [_recovery_row(event) for event in details.recovery])]
    if details.missing:
        heading = Text("trials without a usable result", style="bold cyan")
        common = shared_parts([trial.label for trial in details.missing])
        parts += [Text(), heading, plain_table(_MISSING_COLUMNS, [*_missing_rows(details.missing, common)])]
        parts += _common_line(common)
        # While the run is active its own controller may retry: a second command would take the devices from it.
        if any(trial.state in _RETRIED for trial in details.missing) and record.state is not RunState.ACTIVE:
            parts.append(HintLines(f"benchfleet runs resume {record.header.run} --retry-failed runs them again"))
    return Group(*parts)


def comparison_to_try(results: Sequence[CellResult]) -> str | None:
    """Return the command for comparing the newest run's cells, or None for a run with a single measured cell."""
    cells = [(result.cell.model, result.cell.coordinates) for result in results if result.trial_values]
    # Variants first: they are what the product is for. Devices and settings come in their own order.
    for by in dict.fromkeys(("variant", "runtime", *(name for _, cell in cells for name in cell))):
        by_model: dict[str, dict[str, None]] = {}
        for model, cell in cells:
            by_model.setdefault(model, {})[setting_text(cell.get(by))] = None
        # Each model is compared with itself alone.
        compared = [[*values] for values in by_model.values() if len(values) > 1]
        if compared:
            return f"benchfleet compare last --by {by} --base {shlex.quote(compared[0][0])}"
    return None


def _spared_lines(spared: Sequence[SparedCell]) -> Iterator[str]:
    """Yield what the stop rule has saved, against as many trials of each cell as the sweep allows."""
    if not spared:
        return
    trials = sum(one.spared for one in spared)
    planned = trials + sum(one.measured for one in spared)
    known = [one.saved_s for one in spared if one.saved_s is not None]
    saved = f", about {numbers.duration(sum(known))} of device time" if known else ""
    cells = "1 cell" if len(spared) == 1 else f"{len(spared)} cells"
    yield f"stop rule: {trials} of {planned} trials of {cells} were not needed{saved}"


def _remark_lines(remarks: Sequence[CellRemark]) -> Iterator[str]:
    """Yield each remark once, with the cells that it is about."""
    cells: dict[tuple[str, str], list[str]] = {}
    for one in remarks:
        cells.setdefault((one.kind.value, one.text), []).append(f"{one.device} · {one.label}")
    for (kind, text), names in cells.items():
        shown_names = ", ".join(names[:_NAMED_MAX]) + (
            f" and {len(names) - _NAMED_MAX} more" * (len(names) > _NAMED_MAX)
        )
        yield f"warning ({kind}): {shown_names}: {text}"


def _title(record: RunRecord, effort: RunEffort) -> Text:
    header = record.header
    title = Text.assemble(("run ", "bold"), (clean(header.run), "bold"), " · ")
    title.append(record.state.value, style=RUN_STYLES[record.state])
    given = (f"--set {clean(one)}" for one in header.overrides)
    seed, began = f"seed {header.seed}", f"began {numbers.told(header.started_at)}"
    facts = (clean(header.sweep), *given, clean(header.model_words), seed, began)
    title.append("".join(f" · {fact}" for fact in facts))
    if record.finished_at is not None:
        title.append(f" · took {took(header.started_at, record.finished_at)}")
    # Of a run that was taken up again, the whole time counts the gap.
    if effort.sessions > 1 and effort.measuring_s is not None:
        title.append(f", {numbers.duration(effort.measuring_s)} of it in trials, in {effort.sessions} sessions")
    return title


def _device_row(device: DeviceRun) -> tuple[Text | str | None, ...]:
    counts = count_trials([device.trials])
    return (
        device.device,
        Text(device.state.value, style=_DEVICE_STYLES.get(device.state, "")),
        *map(str, (counts.measured, counts.invalid, counts.failed, counts.missing)),
        # The line begins with the device already.
        shown(device.error.removeprefix(f"{device.device}: ") if device.error else ""),
    )


def _named(results: Sequence[CellResult]) -> list[tuple[str, CellResult]]:
    """Return each cell with its name. Cells of several models are named with the model."""
    several = len({result.cell.model for result in results}) > 1
    return [(cell_label(result.cell, several), result) for result in results]


def _common_line(shared: Sequence[str]) -> list[Text]:
    """Return the line that tells what the names in the table above leave out, none where they are whole."""
    return [Text(clean(shared_words(shared)), style="dim")] if shared else []


def _jobs(named: Sequence[tuple[str, CellResult]], shared: Sequence[str]) -> Iterator[RenderableType]:
    """Yield the table of cells. Cells whose trials scatter widely are marked, with a remark below the table.

    `shared` are the parts that the names leave out.
    """
    rows = [_job_row(label, result) for label, result in named]
    scatters = [scatter if (scatter := _scatter(result)) > SCATTER_WORRYING else None for _, result in named]
    if not any(scatters):
        yield plain_table(_JOB_COLUMNS, rows)
        yield from _common_line(shared)
        yield Text(_VALUES, style="dim")
        return
    place = 4  # behind the value
    columns = (*_JOB_COLUMNS[:place], Column("scatter", right=True), *_JOB_COLUMNS[place:])
    marks = (Text("" if one is None else numbers.factor(one), "yellow") for one in scatters)
    yield plain_table(columns, ((*row[:place], mark, *row[place:]) for row, mark in zip(rows, marks, strict=True)))
    yield from _common_line(shared)
    yield Text(_VALUES, style="dim")
    yield Text(
        f"scatter: the highest trial over the lowest, where beyond {SCATTER_WORRYING:g}. Such a value is doubtful: "
        "runs show --cell has each trial's conditions, and runs resume --trials +5 adds trials.",
        style="dim",
    )


def _scatter(result: CellResult) -> float:
    """Return the highest trial over the lowest; 1 where there is no such ratio."""
    values = result.trial_values
    return max(values) / min(values) if len(values) > 1 and min(values) > 0 else 1.0


def _job_row(label: str, result: CellResult) -> tuple[str | None, ...]:
    unit, values = metric_named(result.metric).unit, result.trial_values
    return (
        result.cell.device,
        label,
        str(len(values)),
        # The very value of a comparison, and like there no value where a trial is not above zero.
        numbers.quantity(statistics.geometric_mean(values) if values and min(values) > 0 else None, unit),
        numbers.quantity(min(values, default=None), unit),
        numbers.quantity(max(values, default=None), unit),
        numbers.size(result.size_bytes),
        None if result.accuracy is None else f"{result.accuracy:.3f}",
    )


def _no_power(use: PowerUse) -> str | None:
    """Return the line for a device that measured no power. A device without power and reason has none."""
    return f"no power of {use.device}: {use.reason}" if use.source is None and use.reason else None


def _power_row(use: PowerUse) -> tuple[str | None, ...]:
    words = (use.reason, use.energy_reason and f"no energy above idle: {use.energy_reason}", use.caution)
    return (
        use.device,
        use.source,
        str(use.trials),
        None if use.rate_hz is None else f"{use.rate_hz:.3g} Hz",
        numbers.quantity(use.idle_w, Unit.WATTS),
        None if not use.overhead_ratio else numbers.percent(use.overhead_ratio),
        ". ".join(filter(None, words)) or None,
    )


def _recovery_row(event: RecoveryEvent) -> tuple[str | None, ...]:
    known = event.succeeded is not None and event.rung is not Rung.QUARANTINE  # a quarantine helps nobody
    helped = ("yes" if event.succeeded else "no") if known else None
    reason = event.reason.removeprefix(f"{event.device}: ")  # the line begins with the device already
    return event.device, numbers.told(event.began_at), event.rung.value, helped, reason


def _missing_rows(missing: Sequence[MissingTrial], shared: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a line for all trials of a cell with the same state and reason. Names leave the shared parts out."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for trial in missing:
        # The line begins with the device already.
        reason = short_reason(trial.reason.removeprefix(f"{trial.device}: "))
        key = (trial.device, trial.label, trial.state.value, reason)
        counts[key] = counts.get(key, 0) + 1
    for (device, label, state, reason), count in counts.items():
        yield device, short_label(label, shared), str(count), state, reason
