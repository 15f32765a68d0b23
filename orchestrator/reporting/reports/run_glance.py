"""Declare what changes while a run is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.run import DeviceRunState
from orchestrator.domain.run_glance import DeviceGlance, FailureGlance, RunGlance
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, TIME, Key, ListOf, MapOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

_DEVICE = View[DeviceGlance](
    "device-glance",
    "Where a device of a run stands now.",
    (
        Key("device", TEXT, "The device's name.", lambda one: one.device),
        Key("state", OneOf(DeviceRunState), "Where the device stands.", lambda one: one.state),
        Key("error", OrNull(TEXT), "Why the device failed or stopped.", lambda one: one.error),
        Key(
            "trials",
            MapOf(INTEGER, "trial state"),
            "How many measure trials are in each state.",
            lambda one: one.trials,
        ),
        Key("job", OrNull(INTEGER), "The job of the newest attempt: `/cells/JOB` shows it.", lambda one: one.job),
        Key("cell", OrNull(TEXT), "The cell of the newest attempt.", lambda one: one.cell),
        Key("trial", OrNull(TEXT), "The trial of the newest attempt.", lambda one: one.trial),
        Key("seen_at", OrNull(TIME), "When the newest finished attempt was stored.", lambda one: one.seen_at),
        Key("temperature_c", OrNull(NUMBER), "The temperature after it.", lambda one: one.temperature_c),
        Key("cpu_mhz", OrNull(NUMBER), "The clock after it.", lambda one: one.cpu_mhz),
    ),
)
_FAILURE = View[FailureGlance](
    "failure-glance",
    "An attempt that failed or broke a condition.",
    (
        Key("attempt", INTEGER, "The attempt's id.", lambda one: one.attempt),
        Key("device", TEXT, "The device's name.", lambda one: one.device),
        Key("job", INTEGER, "The job.", lambda one: one.job),
        Key("cell", TEXT, "The cell in words.", lambda one: one.cell),
        Key("trial", TEXT, "The trial's key.", lambda one: one.trial),
        Key("at", TIME, "When the attempt was stored.", lambda one: one.at),
        Key("outcome", TEXT, "failed or invalid.", lambda one: one.outcome),
        Key("reason", TEXT, "Why, in the device's words.", lambda one: one.reason),
    ),
)
_GLANCE = View[RunGlance](
    "run-glance",
    "Where a run stands now.",
    (
        Key("run", TEXT, "The run's id.", lambda glance: glance.run),
        Key(
            "finished_at", OrNull(TIME), "When the run ended; null while under way.", lambda glance: glance.finished_at
        ),
        Key("devices", ListOf(_DEVICE), "The run's devices.", lambda glance: glance.devices),
        Key("failures", ListOf(_FAILURE), "The newest failures, newest first.", lambda glance: glance.failures),
    ),
)
_ROW = View[DeviceGlance](
    "device-glance-row", "A device of a run.", tuple(key for key in _DEVICE.keys if key.name != "trials")
)
GLANCE = Shape[RunGlance](_GLANCE, _ROW, lambda glance: glance.devices)


def glance_report(glance: RunGlance) -> Report:
    """Return a run's standing as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.rows import row_table

        return row_table(GLANCE.columns(), GLANCE.lines(glance))

    return Report(glance, GLANCE, draw)
