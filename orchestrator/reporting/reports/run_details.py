"""Declare a run in full: devices, results, and missing trials with reasons."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.device import TransportKind
from orchestrator.domain.measurement import Cell, CellResult, cell_label
from orchestrator.domain.power import PowerUse
from orchestrator.domain.recovery import RecoveryEvent, Rung
from orchestrator.domain.remark import CellRemark, RemarkKind
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    ExcludedCell,
    MissingTrial,
    Offset,
    RunHeader,
    RunModel,
    RunRecord,
    RunState,
    TrialState,
)
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.sweep import setting_texts
from orchestrator.reporting.report import Case, CaseOutcome, Report, Suite
from orchestrator.reporting.reports.run_words import RUN_WORDS
from orchestrator.reporting.reports.spared import SPARED_CELL
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    NUMBER,
    SETTING,
    TEXT,
    TIME,
    Key,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


RUN_MODEL = View[RunModel](
    "run-model",
    "A model of a run.",
    (
        Key("name", TEXT, "The model's name.", lambda model: model.name),
        Key("directory", TEXT, "The model's folder when the run began.", lambda model: model.directory),
    ),
)
RUN_HEADER = View[RunHeader](
    "run-header",
    "What is fixed when a run begins.",
    (
        Key("run", TEXT, "The run's id.", lambda header: header.run),
        Key("sweep", TEXT, "The sweep's name.", lambda header: header.sweep),
        Key("sweep_document", TEXT, "The sweep file's text.", lambda header: header.sweep_document),
        Key("sweep_source", TEXT, "The sweep's FILE:LINE.", lambda header: header.sweep_source),
        Key("model", TEXT, "The model's name; of several, all by commas.", lambda header: header.model_words),
        Key("model_directory", TEXT, "The folder of the first model.", lambda header: header.model_directory),
        Key("models", ListOf(RUN_MODEL), "The models, in the order of the sweep.", lambda header: header.models),
        Key("seed", INTEGER, "The seed of the trials' order.", lambda header: header.seed),
        Key("started_at", TIME, "When the run began.", lambda header: header.started_at),
        Key("controller", TEXT, "Version and machine of the controller.", lambda header: header.controller),
        Key("settings", MapOf(FREE, "flag"), "What the command's flags said.", lambda header: header.settings),
    ),
)
LOG_OFFSET = View[Offset](
    "log-offset",
    "How much of a device's log the database has.",
    (
        Key("log_id", OrNull(TEXT), "The log's identity; null before there is a log.", lambda offset: offset.log_id),
        Key("last_seq", INTEGER, "The last record that is committed.", lambda offset: offset.last_seq),
    ),
)
DEVICE_RUN = View[DeviceRun](
    "device-run",
    "One device of a run.",
    (
        Key("device", TEXT, "The device's name.", lambda entry: entry.device),
        Key("state", OneOf(DeviceRunState), "Where the device stands.", lambda entry: entry.state),
        Key("error", OrNull(TEXT), "Why the device failed or stopped.", lambda entry: entry.error),
        Key("hint", OrNull(TEXT), "What to do about the error.", lambda entry: entry.hint),
        Key("plan_sha256", OrNull(TEXT), "The hash of the device's plan.", lambda entry: entry.plan_sha256),
        Key("offset", LOG_OFFSET, "How much of the device's log is stored.", lambda entry: entry.offset),
        Key(
            "trials",
            MapOf(INTEGER, "trial state"),
            "How many trials are in each state; preflights are not counted.",
            lambda entry: entry.trials,
        ),
        Key("transport", OneOf(TransportKind), "How the device is reached.", lambda entry: entry.transport),
    ),
)
RUN_RECORD = View[RunRecord](
    "run-record",
    "A run with its devices.",
    (
        Key("header", RUN_HEADER, "What is fixed when the run begins.", lambda record: record.header),
        Key("state", OneOf(RunState), "Where the run stands.", lambda record: record.state),
        Key("finished_at", OrNull(TIME), "When the run ended.", lambda record: record.finished_at),
        Key("devices", ListOf(DEVICE_RUN), "The run's devices.", lambda record: record.devices),
        Key("words", RUN_WORDS, "What people say about the run.", lambda record: record.words),
    ),
)
MISSING_TRIAL = View[MissingTrial](
    "missing-trial",
    "A trial without a usable result.",
    (
        Key("device", TEXT, "The device's name.", lambda trial: trial.device),
        Key("label", TEXT, "The cell, for people.", lambda trial: trial.label),
        Key("trial", TEXT, "The trial's key in the plan.", lambda trial: trial.trial),
        Key("state", OneOf(TrialState), "Where the trial stands.", lambda trial: trial.state),
        Key("reason", TEXT, "Why there is no result.", lambda trial: trial.reason),
    ),
)
CELL = View[Cell](
    "cell",
    "The coordinates of a job.",
    (
        Key("run", TEXT, "The run's id.", lambda cell: cell.run),
        Key("device", TEXT, "The device's name.", lambda cell: cell.device),
        Key("model", TEXT, "The model's name.", lambda cell: cell.model),
        Key("variant", TEXT, "The variant's name.", lambda cell: cell.variant),
        Key("runtime", TEXT, "The runtime, as the sweep names it.", lambda cell: cell.runtime),
        Key("settings", MapOf(SETTING, "setting"), "The matrix settings of the cell.", lambda cell: cell.settings),
    ),
)
CELL_RESULT = View[CellResult](
    "cell-result",
    "One metric of one cell: a value for each trial that counts.",
    (
        Key("cell", CELL, "The cell.", lambda result: result.cell),
        Key("metric", TEXT, "The metric; its name ends in its unit.", lambda result: result.metric),
        Key(
            "trial_values",
            ListOf(NUMBER),
            "A value for each trial: the median of a sampled metric.",
            lambda result: result.trial_values,
        ),
        Key("invalid", INTEGER, "How many trials broke a condition.", lambda result: result.invalid),
        Key("failed", INTEGER, "How many trials failed.", lambda result: result.failed),
        Key("missing", INTEGER, "How many trials have not run.", lambda result: result.missing),
        Key("size_bytes", OrNull(INTEGER), "The artifact's size.", lambda result: result.size_bytes),
        Key("accuracy", OrNull(NUMBER), "The accuracy measured by the preflight.", lambda result: result.accuracy),
        Key("rejected", OrNull(TEXT), "Why the preflight rejected the cell.", lambda result: result.rejected),
        Key(
            "without_metric",
            INTEGER,
            "How many trials went well and did not measure this metric.",
            lambda result: result.without_metric,
        ),
        Key(
            "shared",
            INTEGER,
            "How many values were measured on a machine that others could use (`exclusive: false`).",
            lambda result: result.shared,
        ),
    ),
)
EXCLUDED_CELL = View[ExcludedCell](
    "excluded-cell",
    "A cell that a device was not asked to run.",
    (
        Key("device", TEXT, "The device's name.", lambda cell: cell.device),
        Key("label", TEXT, "The cell, for people.", lambda cell: cell.label),
        Key("reason", TEXT, "Why the cell was not planned.", lambda cell: cell.reason),
    ),
)
CELL_REMARK = View[CellRemark](
    "cell-remark",
    "What a person should know of a measured cell. It is no failure.",
    (
        Key("device", TEXT, "The device's name.", lambda one: one.device),
        Key("label", TEXT, "The cell, for people.", lambda one: one.label),
        Key("kind", OneOf(RemarkKind), "What it is about.", lambda one: one.kind),
        Key("text", TEXT, "The remark.", lambda one: one.text),
    ),
)
RECOVERY_EVENT = View[RecoveryEvent](
    "recovery-event",
    "Something that was tried for a device that failed.",
    (
        Key("device", TEXT, "The device's name.", lambda event: event.device),
        Key("rung", OneOf(Rung), "What was tried.", lambda event: event.rung),
        Key("reason", TEXT, "The error that led to it.", lambda event: event.reason),
        Key("began_at", TIME, "When it began.", lambda event: event.began_at),
        Key("ended_at", OrNull(TIME), "When it ended.", lambda event: event.ended_at),
        Key("succeeded", OrNull(BOOLEAN), "Whether it helped; null while unknown.", lambda event: event.succeeded),
    ),
)
POWER_USE = View[PowerUse](
    "power-use",
    "How a device measured the power of some trials, or why it did not.",
    (
        Key("device", TEXT, "The device's name.", lambda use: use.device),
        Key("source", OrNull(TEXT), "The power source; null without one.", lambda use: use.source),
        Key("kind", OrNull(TEXT), "`energy-counter` or `power-gauge`.", lambda use: use.kind),
        Key("trials", INTEGER, "How many trials have this account.", lambda use: use.trials),
        Key("rate_hz", OrNull(NUMBER), "Readings a second, as they were taken.", lambda use: use.rate_hz),
        Key("idle_w", OrNull(NUMBER), "Idle power; null while unknown.", lambda use: use.idle_w),
        Key(
            "overhead_ratio",
            OrNull(NUMBER),
            "CPU time of the readings over the lifetime of the trial process.",
            lambda use: use.overhead_ratio,
        ),
        Key("reason", OrNull(TEXT), "Why there is no figure at all.", lambda use: use.reason),
        Key("energy_reason", OrNull(TEXT), "Why there is no energy above idle.", lambda use: use.energy_reason),
        Key("caution", OrNull(TEXT), "Why the figures may be off.", lambda use: use.caution),
    ),
)
CONDITION_USE = View[ConditionUse](
    "condition-use",
    "What the conditions of a device found, and what nothing could judge there.",
    (
        Key("device", TEXT, "The device's name.", lambda use: use.device),
        Key("invalid", INTEGER, "How many attempts broke a condition.", lambda use: use.invalid),
        Key("breaches", MapOf(INTEGER, "word"), "How many of them broke which condition.", lambda use: use.breaches),
        Key(
            "unjudged",
            MapOf(TEXT, "reading"),
            "Why a condition could not be judged, by the reading that is missing.",
            lambda use: use.unjudged,
        ),
    ),
)
RUN_DETAILS = View[RunDetails](
    "run-details",
    "One run in full.",
    (
        Key("record", RUN_RECORD, "The run with its devices.", lambda details: details.record),
        Key("missing", ListOf(MISSING_TRIAL), "Trials without a usable result.", lambda details: details.missing),
        Key("results", ListOf(CELL_RESULT), "The headline metric of each cell.", lambda details: details.results),
        Key("excluded", ListOf(EXCLUDED_CELL), "Cells that were not planned.", lambda details: details.excluded),
        Key("recovery", ListOf(RECOVERY_EVENT), "What was tried for devices.", lambda details: details.recovery),
        Key("power", ListOf(POWER_USE), "How power was measured.", lambda details: details.power),
        Key("conditions", ListOf(CONDITION_USE), "What conditions found.", lambda details: details.conditions),
        Key(
            "measuring_s",
            OrNull(NUMBER),
            "How long the trials of the device with the most have taken together; null before the first.",
            lambda details: details.effort.measuring_s,
        ),
        Key(
            "sessions",
            INTEGER,
            "How many commands have measured: the time between two of them is no measuring time.",
            lambda details: details.effort.sessions,
        ),
        Key("remarks", ListOf(CELL_REMARK), "Warnings about measured cells.", lambda details: details.remarks),
        Key("spared", ListOf(SPARED_CELL), "Cells whose stop rule had enough.", lambda details: details.spared),
    ),
)


@dataclass(frozen=True, slots=True)
class _CellLine:
    """Hold a device with a cell. A device without a plan has no cell."""

    run: str
    device: DeviceRun
    result: CellResult | None

    @property
    def values(self) -> Sequence[float]:
        return self.result.trial_values if self.result else ()

    @property
    def centre(self) -> float | None:
        # As in the table: a geometric mean means nothing where a value is not above zero.
        return statistics.geometric_mean(self.values) if self.values and min(self.values) > 0 else None

    @property
    def settings(self) -> str | None:
        if self.result is None:
            return None
        return " ".join(setting_texts(sorted(self.result.cell.settings.items())))


_ROW = View[_CellLine](
    "run-details-row",
    "One cell of one device; a device without any cell has a row too.",
    (
        Key("run", TEXT, "The run's id.", lambda line: line.run),
        Key("device", TEXT, "The device's name.", lambda line: line.device.device),
        Key("device_state", TEXT, "Where the device stands.", lambda line: line.device.state.value),
        Key("model", OrNull(TEXT), "The model's name.", lambda line: line.result and line.result.cell.model),
        Key("variant", OrNull(TEXT), "The variant's name.", lambda line: line.result and line.result.cell.variant),
        Key("runtime", OrNull(TEXT), "The runtime.", lambda line: line.result and line.result.cell.runtime),
        Key("settings", OrNull(TEXT), "The matrix settings, as name=value.", lambda line: line.settings),
        Key("metric", OrNull(TEXT), "The metric.", lambda line: line.result and line.result.metric),
        Key("trials", OrNull(INTEGER), "How many trials count.", lambda line: line.result and len(line.values)),
        Key("value", OrNull(NUMBER), "The geometric mean over trials.", lambda line: line.centre),
        Key("lowest", OrNull(NUMBER), "The lowest trial value.", lambda line: min(line.values, default=None)),
        Key("highest", OrNull(NUMBER), "The highest trial value.", lambda line: max(line.values, default=None)),
        Key("size_bytes", OrNull(INTEGER), "The artifact's size.", lambda line: line.result and line.result.size_bytes),
        Key("accuracy", OrNull(NUMBER), "The accuracy.", lambda line: line.result and line.result.accuracy),
        Key(
            "invalid",
            OrNull(INTEGER),
            "Trials that broke a condition.",
            lambda line: line.result and line.result.invalid,
        ),
        Key("failed", OrNull(INTEGER), "Trials that failed.", lambda line: line.result and line.result.failed),
        Key("missing", OrNull(INTEGER), "Trials that have not run.", lambda line: line.result and line.result.missing),
        Key("rejected", OrNull(TEXT), "Why the cell was rejected.", lambda line: line.result and line.result.rejected),
        Key("error", OrNull(TEXT), "Why the device failed or stopped.", lambda line: line.device.error),
    ),
)


def _lines(details: RunDetails) -> Iterator[_CellLine]:
    by_device: dict[str, list[CellResult]] = {}
    for measured in details.results:
        by_device.setdefault(measured.cell.device, []).append(measured)
    for device in details.record.devices:
        found: list[CellResult | None] = [*by_device.get(device.device, ())]
        for result in found or [None]:  # a device that failed before its plan has a line too
            yield _CellLine(details.record.header.run, device, result)


RUN = Shape[RunDetails](RUN_DETAILS, _ROW, _lines)

_ENDED_BADLY = (DeviceRunState.FAILED, DeviceRunState.STOPPED)
_OUTCOMES: Mapping[TrialState, CaseOutcome] = {
    TrialState.FAILED: CaseOutcome.FAILURE,
    TrialState.INVALID: CaseOutcome.FAILURE,
    TrialState.SKIPPED: CaseOutcome.SKIPPED,
}


def run_details_report(details: RunDetails) -> Report:
    """Return a run as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.runs import run_report

        return run_report(details)

    return Report(details, RUN, draw, lambda: _suites(details))


def _suites(details: RunDetails) -> list[Suite]:
    """Return a suite for each device: the device, measured cells, and trials without a result."""
    return [
        Suite(
            device.device,
            (
                _device_case(device),
                *_measured_cases(details, device.device),
                *_missing_cases(details, device.device),
                *_excluded_cases(details, device.device),
            ),
        )
        for device in details.record.devices
    ]


def _device_case(device: DeviceRun) -> Case:
    if device.state is DeviceRunState.COMPLETE:
        return Case("device", CaseOutcome.PASSED)
    text, error = f"hint: {device.hint}" if device.hint else "", device.error or device.state.value
    if device.state in _ENDED_BADLY:
        return Case("device", CaseOutcome.ERROR, error, device.state.value, text)
    # A device under way, or cancelled, has neither passed nor failed.
    return Case("device", CaseOutcome.SKIPPED, error, device.state.value, text)


def _measured_cases(details: RunDetails, device: str) -> Iterator[Case]:
    for result in details.results:
        # One case for the cell: a case for each trial would hide the few that failed.
        if result.cell.device == device and result.trial_values:
            name = cell_label(result.cell, len(details.record.header.models) > 1)
            figures = ", ".join(f"{value:.10g}" for value in result.trial_values)
            yield Case(name, CaseOutcome.PASSED, text=f"{result.metric}, a value for each trial: {figures}")


def _missing_cases(details: RunDetails, device: str) -> Iterator[Case]:
    for trial in details.missing:
        if trial.device == device:
            outcome = _OUTCOMES.get(trial.state, CaseOutcome.ERROR)  # a trial that never ran was never judged
            yield Case(f"{trial.label} · {trial.trial}", outcome, trial.reason, trial.state.value)


def _excluded_cases(details: RunDetails, device: str) -> Iterator[Case]:
    for cell in details.excluded:
        if cell.device == device:
            yield Case(cell.label, CaseOutcome.SKIPPED, cell.reason, "excluded")
