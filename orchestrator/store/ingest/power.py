"""Check a worker's account of how power was measured."""

from __future__ import annotations

from dataclasses import dataclass

from device_worker.protocol.limits import INT32_MAX, NAME_CHARACTERS_MAX
from orchestrator.store.values.fields import Fields
from orchestrator.store.values.hygiene import clean_text

_REASON_MAX = 2_000


@dataclass(frozen=True, slots=True)
class PowerAccount:
    """Hold how the power of an attempt was measured, or the reason for no figure. See docs/worker-protocol.md."""

    source: str | None
    kind: str | None
    period_s: float | None
    samples: int
    rate_hz: float | None
    idle_w: float | None
    overhead_cpu_ns: int
    reason: str | None
    energy_reason: str | None
    caution: str | None

    @property
    def source_of_metrics(self) -> str | None:
        """Return the source of power metrics without a named source, or None for an unknown source."""
        # An account with a kind comes from a worker whose metrics name their source. An account with a reason comes
        # without a figure of the source: a metric of power beside the account was measured by the trial's program.
        return self.source if self.kind is None and self.reason is None else None


def read_power(fields: Fields) -> PowerAccount:
    """Return the account of power in a report. Raise Unfit for a wrong field."""
    return PowerAccount(
        source=words(fields, "source", NAME_CHARACTERS_MAX),
        kind=words(fields, "kind", NAME_CHARACTERS_MAX),
        period_s=fields.optional("period_s", fields.number),
        samples=fields.optional_integer("samples", 0, INT32_MAX) or 0,
        rate_hz=fields.optional("rate_hz", fields.number),
        idle_w=fields.optional("idle_w", fields.number),
        overhead_cpu_ns=fields.optional("overhead_cpu_ns", fields.integer) or 0,
        reason=words(fields, "reason", _REASON_MAX),
        energy_reason=words(fields, "energy_reason", _REASON_MAX),
        caution=words(fields, "caution", _REASON_MAX),
    )


def words(fields: Fields, field: str, limit: int) -> str | None:
    """Return a clean text from the worker, or None for a missing or empty field."""
    return clean_text(fields.text(field), limit) or None
