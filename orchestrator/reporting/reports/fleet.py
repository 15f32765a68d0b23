"""Declare the fleet at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.fleet_card import DeviceInRun, FleetCard, NoisePoint, Reading
from orchestrator.domain.run import DeviceRunState
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.devices import HELD
from orchestrator.reporting.reports.quarantines import QUARANTINE
from orchestrator.reporting.shape import (
    BOOLEAN,
    INTEGER,
    NUMBER,
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

_IN_RUN = View[DeviceInRun](
    "device-in-run",
    "Where a device stands in a run.",
    (
        Key("run", TEXT, "The run's id.", lambda last: last.run),
        Key("sweep", TEXT, "The sweep's name.", lambda last: last.sweep),
        Key("state", OneOf(DeviceRunState), "Where the device stands.", lambda last: last.state),
        Key("started_at", TIME, "When the run began.", lambda last: last.started_at),
        Key("finished_at", OrNull(TIME), "When the run ended; null while under way.", lambda last: last.finished_at),
        Key("error", OrNull(TEXT), "Why the device failed or stopped.", lambda last: last.error),
    ),
)
_READING = View[Reading](
    "device-reading",
    "The conditions after the device's newest attempt.",
    (
        Key("run", TEXT, "The run of the attempt.", lambda reading: reading.run),
        Key("at", TIME, "When the attempt was stored.", lambda reading: reading.at),
        Key("temperature_c", OrNull(NUMBER), "The hottest CPU sensor.", lambda reading: reading.temperature_c),
        Key("cpu_mhz", OrNull(NUMBER), "The processor's clock.", lambda reading: reading.cpu_mhz),
        Key("throttled", OrNull(BOOLEAN), "Whether the CPU was held back.", lambda reading: reading.throttled),
    ),
)
_NOISE = View[NoisePoint](
    "noise-point",
    "The usual noise of a device in a run.",
    (
        Key("run", TEXT, "The run's id.", lambda point: point.run),
        Key("started_at", TIME, "When the run began.", lambda point: point.started_at),
        Key("noise", NUMBER, "The median over cells of v_noise's noise of latency.", lambda point: point.noise),
        Key("cells", INTEGER, "How many cells.", lambda point: point.cells),
    ),
)
_CARD = View[FleetCard](
    "fleet-card",
    "A device of the database at a glance.",
    (
        Key("device", TEXT, "The device's name.", lambda card: card.device),
        Key("state", TEXT, "quarantined, running, reserved, failed, stopped or idle.", lambda card: card.state),
        Key("transport", TEXT, "How the device is reached.", lambda card: card.transport),
        Key("tags", MapOf(TEXT, "tag"), "The inventory's tags, as last seen.", lambda card: card.tags),
        Key("facts_at", OrNull(TIME), "When the facts were taken; null if never.", lambda card: card.facts_at),
        Key("last", OrNull(_IN_RUN), "The newest run; null without one.", lambda card: card.last),
        Key("reading", OrNull(_READING), "The newest conditions; null without any.", lambda card: card.reading),
        Key(
            "held",
            ListOf(HELD),
            "Who has the device: a reservation, a run, or both.",
            lambda card: card.holding.held if card.holding else (),
        ),
        Key("queue", INTEGER, "How many wait.", lambda card: card.holding.queue if card.holding else 0),
        Key("quarantine", OrNull(QUARANTINE), "Why no run may use the device.", lambda card: card.quarantine),
        Key("regressions", INTEGER, "How many are confirmed and not over.", lambda card: card.regressions),
        Key("noise", ListOf(_NOISE), "The usual noise in the newest runs, oldest first.", lambda card: card.noise),
    ),
)
_ROW = View[FleetCard](
    "fleet-row",
    "A device.",
    (
        Key("device", TEXT, "The device's name.", lambda card: card.device),
        Key("state", TEXT, "What the device does.", lambda card: card.state),
        Key("holder", OrNull(TEXT), "Who has the device.", lambda card: _holder(card)),
        Key("queue", INTEGER, "How many wait.", lambda card: card.holding.queue if card.holding else 0),
        Key(
            "temperature_c",
            OrNull(NUMBER),
            "The hottest sensor.",
            lambda card: card.reading and card.reading.temperature_c,
        ),
        Key("last_run", OrNull(TEXT), "The newest run.", lambda card: card.last and card.last.run),
        Key("last_run_state", OrNull(TEXT), "How it stands there.", lambda card: card.last and card.last.state.value),
        Key("noise", OrNull(NUMBER), "The newest noise.", lambda card: card.noise[-1].noise if card.noise else None),
        Key("regressions", INTEGER, "How many are confirmed and not over.", lambda card: card.regressions),
        Key(
            "quarantine",
            OrNull(TEXT),
            "Why no run may use it.",
            lambda card: card.quarantine and card.quarantine.reason,
        ),
    ),
)
FLEET = Shape[Sequence[FleetCard]](ListOf(_CARD), _ROW, lambda cards: cards)


def fleet_report(cards: Sequence[FleetCard]) -> Report:
    """Return the fleet as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.rows import row_table

        return row_table(FLEET.columns(), FLEET.lines(cards))

    return Report(cards, FLEET, draw)


def _holder(card: FleetCard) -> str | None:
    return card.holding.held[0].holder if card.holding and card.holding.held else None
