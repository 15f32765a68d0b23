"""Declare the answers of devices to a probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.domain.device import Limits
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import Concern, judge_health
from orchestrator.domain.machines import find_exchange
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.failure import ERROR
from orchestrator.reporting.shape import BOOLEAN, FREE, TEXT, Key, ListOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

CONCERN = View[Concern](
    "concern",
    "Something about a device that a person should know.",
    (
        Key("message", TEXT, "What it is.", lambda concern: concern.message),
        Key("hint", OrNull(TEXT), "What to do about it.", lambda concern: concern.hint),
        Key("is_refusal", BOOLEAN, "Whether it keeps the device from measuring.", lambda concern: concern.is_refusal),
    ),
)


@dataclass(frozen=True, slots=True)
class Probed:
    """Hold a device with the facts, or with the error."""

    name: str
    facts: Facts | None
    concerns: tuple[Concern, ...]
    error: OrchestratorError | None

    def fact(self, name: str) -> Any:
        """Return a fact, or None for a fact unknown to the device."""
        return self.facts.values.get(name) if self.facts else None

    def fact_text(self, name: str) -> str | None:
        """Return a fact as text."""
        value = self.fact(name)
        return None if value is None else str(value)


PROBED = View[Probed](
    "probed-device",
    "What one device answered.",
    (
        Key("name", TEXT, "The device's name.", lambda probed: probed.name),
        Key(
            "facts",
            OrNull(FREE),
            "What the device says of itself; docs/worker-protocol.md has its keys. Null where there is an error.",
            lambda probed: probed.facts and probed.facts.values,
        ),
        Key("concerns", ListOf(CONCERN), "What is worth a word.", lambda probed: probed.concerns),
        Key("error", OrNull(ERROR), "Why the device did not answer.", lambda probed: probed.error),
    ),
)
_ROW = View[Probed](
    "probed-device-row",
    "One device.",
    (
        Key("name", TEXT, "The device's name.", lambda probed: probed.name),
        Key("board_model", OrNull(TEXT), "The board.", lambda probed: probed.fact_text("board_model")),
        Key("cpu_model", OrNull(TEXT), "The processor.", lambda probed: probed.fact_text("cpu_model")),
        Key("machine", OrNull(TEXT), "The architecture.", lambda probed: probed.fact_text("machine")),
        Key("cpu_count", OrNull(FREE), "How many processors.", lambda probed: _single(probed.fact("cpu_count"))),
        Key(
            "cpu_kinds",
            OrNull(TEXT),
            "Which processors are fast and which are slow; null where all are alike, or the kernel does not tell.",
            lambda probed: probed.facts and probed.facts.processors.kinds_words,
        ),
        Key("memory_bytes", OrNull(FREE), "The memory.", lambda probed: _single(probed.fact("memory_bytes"))),
        Key("os_id", OrNull(TEXT), "The system.", lambda probed: probed.fact_text("os_id")),
        Key("os_version", OrNull(TEXT), "The system's version.", lambda probed: probed.fact_text("os_version")),
        Key("python", OrNull(TEXT), "The Python there.", lambda probed: probed.fact_text("python")),
        Key("temperature_c", OrNull(FREE), "The temperature.", lambda probed: _single(probed.fact("temperature_c"))),
        Key(
            "disk_free_bytes",
            OrNull(FREE),
            "The room in the state folder.",
            lambda probed: _single(probed.fact("disk_free_bytes")),
        ),
        Key("kernel", OrNull(TEXT), "The kernel's release.", lambda probed: probed.fact_text("kernel")),
        Key("governor", OrNull(TEXT), "The frequency governor.", lambda probed: probed.fact_text("governor")),
        Key("load_1m", OrNull(FREE), "The mean load of a minute.", lambda probed: _single(probed.fact("load_1m"))),
        Key(
            "throttled", OrNull(FREE), "Whether the CPU is held back.", lambda probed: _single(probed.fact("throttled"))
        ),
        Key(
            "power_sensors",
            OrNull(TEXT),
            "The power sensors, the preferred one first.",
            lambda probed: _power_sensors(probed.fact("power_sources")),
        ),
        Key(
            "concerns",
            TEXT,
            "What is worth a word, divided by semicolons.",
            lambda probed: "; ".join(concern.message for concern in probed.concerns),
        ),
        Key("error", OrNull(TEXT), "Why the device did not answer.", lambda probed: probed.error),
    ),
)
PROBE = Shape[Sequence[Probed]](ListOf(PROBED), _ROW, lambda probed: probed)


def probe_report(
    answers: Mapping[str, Facts | OrchestratorError],
    limits: Mapping[str, Limits],
    before: Mapping[str, Facts] | None = None,
    gpus: Mapping[str, int] | None = None,
) -> Report:
    """Return the answer of each device as a report. `before` are the former facts on record.

    `gpus` has the GPU that the inventory asks for, of devices with one.
    """
    concerns = {
        name: _concerns(answer, limits[name], (gpus or {}).get(name), (before or {}).get(name))
        for name, answer in answers.items()
        if isinstance(answer, Facts)
    }

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import probe_report as drawing

        return drawing(answers, concerns)

    probed = [
        Probed(name, answer, concerns[name], None) if isinstance(answer, Facts) else Probed(name, None, (), answer)
        for name, answer in answers.items()
    ]
    return Report(probed, PROBE, draw)


def _concerns(facts: Facts, limits: Limits, gpu: int | None, before: Facts | None) -> tuple[Concern, ...]:
    exchange = find_exchange(before, facts) if before else None
    return (*judge_health(facts, limits, gpu), *([exchange] if exchange else ()))


def _power_sensors(said: object) -> str | None:
    from orchestrator.reporting.tables.fleet import power_sensors

    return power_sensors(said)


def _single(value: object) -> object:
    """Return a fact as a single value."""
    # A hostile device may send a list in the place of a number.
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
