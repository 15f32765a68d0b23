"""Declare the plans of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.plan.values import DevicePlan, Excluded, Untold
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.failure import ERROR
from orchestrator.reporting.shape import FREE, INTEGER, NUMBER, TEXT, Key, ListOf, MapOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.reporting.tables.plans import SweepPlans

EXCLUDED = View[Excluded](
    "excluded",
    "A cell that will not run on a device.",
    (
        Key("label", TEXT, "The cell, for people.", lambda excluded: excluded.label),
        Key("reason", TEXT, "Why the cell will not run.", lambda excluded: excluded.reason),
    ),
)
UNTOLD = View[Untold](
    "untold-condition",
    "A demanded condition that a device cannot tell: no trial there is judged by it.",
    (
        Key("limit", TEXT, "The limit.", lambda untold: untold.limit),
        Key("reason", TEXT, "Why the device cannot tell.", lambda untold: untold.reason),
    ),
)
DEVICE_PLAN = View[DevicePlan](
    "device-plan",
    "The plan of one device.",
    (
        Key("device", TEXT, "The device's name.", lambda plan: plan.device),
        Key("sha256", TEXT, "The hash of the document's bytes.", lambda plan: plan.sha256),
        Key("estimate_s", NUMBER, "About how long the plan takes.", lambda plan: plan.estimate_s),
        Key("excluded", ListOf(EXCLUDED), "Cells that will not run.", lambda plan: plan.excluded),
        Key("untold", ListOf(UNTOLD), "Demanded conditions that the device cannot tell.", lambda plan: plan.untold),
        Key("mixed", ListOf(TEXT), "Cells that may run on fast processors or slow ones.", lambda plan: plan.mixed),
        Key(
            "document",
            FREE,
            "The plan as it is shipped; docs/worker-protocol.md has its keys.",
            lambda plan: json.loads(plan.document),  # the bytes that are hashed, so that nothing can differ
        ),
    ),
)
SWEEP_PLANS = View["SweepPlans"](
    "sweep-plans",
    "What a sweep would run.",
    (
        Key("sweep", TEXT, "The sweep's name.", lambda planned: planned.sweep),
        Key("seed", INTEGER, "The seed of the trials' order.", lambda planned: planned.seed),
        Key("plans", ListOf(DEVICE_PLAN), "A plan for each device.", lambda planned: planned.plans),
        Key("failures", MapOf(ERROR, "device"), "Why devices have no plan.", lambda planned: planned.failures),
        Key(
            "machines",
            ListOf(ListOf(TEXT)),
            "Devices that are one machine, as far as facts are known: the run measures them one after the other.",
            lambda planned: planned.machines,
        ),
        Key(
            "to_send_bytes",
            MapOf(INTEGER, "device"),
            "How much of models, data sets and runtimes the newest runs have not sent to the device.",
            lambda planned: {plan.device: planned.bytes_to_send(plan) for plan in planned.plans},
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _PlanLine:
    """Hold a device with the plan, or with the error."""

    device: str
    plan: DevicePlan | None
    error: OrchestratorError | None
    to_send_bytes: int | None = None


_ROW = View[_PlanLine](
    "sweep-plans-row",
    "One device.",
    (
        Key("device", TEXT, "The device's name.", lambda line: line.device),
        Key("cells", OrNull(INTEGER), "How many cells run.", lambda line: line.plan and len(line.plan.jobs)),
        Key(
            "trials",
            OrNull(INTEGER),
            "How many trials run, preflights too.",
            lambda line: line.plan and len(line.plan.trials),
        ),
        Key(
            "excluded",
            OrNull(INTEGER),
            "How many cells will not run.",
            lambda line: line.plan and len(line.plan.excluded),
        ),
        Key(
            "needs_bytes",
            OrNull(INTEGER),
            "How much the device must have of models, data sets and runtimes.",
            lambda line: line.plan and sum(blob.size for blob in line.plan.blobs),
        ),
        Key(
            "to_send_bytes",
            OrNull(INTEGER),
            "How much of that the newest runs have not sent to the device.",
            lambda line: line.to_send_bytes,
        ),
        Key(
            "estimate_s",
            OrNull(NUMBER),
            "About how long the plan takes.",
            lambda line: line.plan and line.plan.estimate_s,
        ),
        Key("sha256", OrNull(TEXT), "The hash of the plan.", lambda line: line.plan and line.plan.sha256),
        Key("error", OrNull(TEXT), "Why the device has no plan.", lambda line: line.error),
    ),
)


def _lines(planned: SweepPlans) -> Iterator[_PlanLine]:
    for plan in planned.plans:
        yield _PlanLine(plan.device, plan, None, planned.bytes_to_send(plan))
    for device, error in planned.failures.items():
        yield _PlanLine(device, None, error)


PLAN = Shape["SweepPlans"](SWEEP_PLANS, _ROW, _lines)


def plan_report(planned: SweepPlans) -> Report:
    """Return plans as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.plans import plan_report as drawing

        return drawing(planned)

    return Report(planned, PLAN, draw)
