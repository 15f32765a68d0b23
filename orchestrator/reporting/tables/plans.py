"""Draw the plans of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.fleet import error_lines
from orchestrator.reporting.text import clean

ORDER_HEAD = 10
DEVICES_NAMED = 4

_DEVICE_COLUMNS = (
    Column("device"),
    Column("cells", right=True),
    Column("trials", right=True),
    Column("excluded", right=True),
    Column("needs", right=True),
    Column("to send", right=True),
    Column("estimate", right=True),
)
_EXCLUDED_COLUMNS = (Column("devices", fold=True), Column("cell", fold=True), Column("reason", prose=True))
_ORDER_COLUMNS = (Column("", right=True), Column("trial"), Column("cell", fold=True))


_TO_SEND = "to send: what the newest runs have not sent to the device; what was removed there since is sent again."


@dataclass(frozen=True, slots=True)
class SweepPlans:
    """Hold the plans of a sweep by device, and the errors of devices without a plan.

    `machines`: the names of each machine with several names, measured in turn. `sent`: the hashes of the blobs that
    earlier runs have sent, by device.
    """

    sweep: str
    seed: int
    plans: Sequence[DevicePlan]
    failures: Mapping[str, OrchestratorError]
    machines: Sequence[Sequence[str]] = ()
    sent: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def bytes_to_send(self, plan: DevicePlan) -> int:
        """Return the bytes of a plan's blobs that no earlier run has sent to the device."""
        known = self.sent.get(plan.device, frozenset())
        return sum(blob.size for blob in plan.blobs if blob.sha256 not in known)


def plan_report(planned: SweepPlans) -> RenderableType:
    """Return cells and trials for each device, excluded cells with reasons, and the begin of the order."""
    parts: list[RenderableType] = []
    if planned.plans:
        parts += [
            _title(planned),
            Text(),
            plain_table(_DEVICE_COLUMNS, [_device_row(one, planned) for one in planned.plans]),
        ]
        if planned.sent:
            parts.append(Text(_TO_SEND, style="dim"))
    for names in planned.machines:
        parts.append(Text(f"one machine, one after the other: {', '.join(map(clean, names))}"))
    parts += [Text(line) for line in _untold_lines(planned.plans)]
    parts += [Text(clean(f"{plan.device}: {line}")) for plan in planned.plans for line in plan.mixed]
    excluded = list(_excluded_rows(planned.plans))
    if excluded:
        parts += [Text(), Text("will not run", style="bold cyan"), plain_table(_EXCLUDED_COLUMNS, excluded)]
    # One device stands for all: the orders differ by chance alone.
    first = next((plan for plan in planned.plans if plan.trials), None)
    if first is not None:
        head = min(ORDER_HEAD, len(first.trials))
        heading = f"order on {clean(first.device)}, first {head} of {len(first.trials)}"
        parts += [Text(), Text(heading, style="bold cyan"), plain_table(_ORDER_COLUMNS, _order_rows(first))]
    for device, error in planned.failures.items():
        parts += [*([Text()] if parts else []), *error_lines(error, device)]
    return Group(*parts)


def _title(planned: SweepPlans) -> Text:
    cells = sum(len(plan.jobs) for plan in planned.plans)
    trials = sum(len(plan.trials) for plan in planned.plans)
    parts = [
        f"plan {clean(planned.sweep)}",
        f"seed {planned.seed}",
        f"devices {len(planned.plans)}",
        f"cells {cells}",
        f"trials {trials}",
        f"about {numbers.duration(_longest_s(planned))}",
    ]
    return Text(" · ".join(parts), style="bold")


def _longest_s(planned: SweepPlans) -> float:
    """Return the time of the longest machine in seconds: machines run beside each other, names of a machine in turn."""
    first = {name: names[0] for names in planned.machines for name in names}
    machines: dict[str, float] = {}
    for plan in planned.plans:
        machine = first.get(plan.device, plan.device)
        machines[machine] = machines.get(machine, 0.0) + plan.estimate_s
    return max(machines.values())


def _device_row(plan: DevicePlan, planned: SweepPlans) -> tuple[str, ...]:
    return (
        plan.device,
        str(len(plan.jobs)),
        str(len(plan.trials)),
        str(len(plan.excluded)),
        numbers.size(sum(blob.size for blob in plan.blobs)),
        numbers.size(planned.bytes_to_send(plan)),
        numbers.duration(plan.estimate_s),
    )


def _untold_lines(plans: Sequence[DevicePlan]) -> Iterator[str]:
    """Say once for each device which demanded conditions it cannot tell."""
    for plan in plans:
        reasons: dict[str, list[str]] = {}
        for one in plan.untold:
            reasons.setdefault(one.reason, []).append(one.limit)
        if reasons:
            words = "; ".join(f"{', '.join(limits)}: {reason}" for reason, limits in reasons.items())
            yield clean(f"{plan.device} cannot tell, and no trial there is judged by: {words}")


def _excluded_rows(plans: Sequence[DevicePlan]) -> Iterator[tuple[str, str, str]]:
    """Name each excluded cell once, with the devices of the same reason."""
    devices: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        for excluded in plan.excluded:
            devices.setdefault((excluded.label, excluded.reason), []).append(plan.device)
    for (label, reason), names in devices.items():
        more = f" and {len(names) - DEVICES_NAMED} more" if len(names) > DEVICES_NAMED else ""
        yield ", ".join(names[:DEVICES_NAMED]) + more, label, reason


def _order_rows(plan: DevicePlan) -> Iterator[tuple[str, str, str]]:
    labels = {job.key: job.label for job in plan.jobs}
    for position, trial in enumerate(islice(plan.trials, ORDER_HEAD), start=1):
        kind = f"trial {trial.index}" if trial.kind is TrialKind.MEASURE else trial.kind.value
        yield str(position), kind, labels.get(trial.job, trial.job)
