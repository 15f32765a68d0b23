"""Check a worker's account of how power was measured, and the readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_worker.protocol.limits import INT32_MAX, NAME_CHARACTERS_MAX
from device_worker.protocol.samples import CODECS, CorruptSamples
from orchestrator.store.values.fields import Fields
from orchestrator.store.values.hygiene import Unfit, clean_text

_REASON_MAX = 2_000
_READINGS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Packed:
    """Hold packed numbers as sent by the device, after a check."""

    codec: str
    count: int
    crc32: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Hold the readings of a power source, packed. See docs/worker-protocol.md."""

    begin_mono_ns: int
    intervals_ns: Packed
    values: Packed


@dataclass(frozen=True, slots=True)
class PowerAccount:
    """Hold how the power of an attempt was measured, or the reason for no figure. See docs/worker-protocol.md."""

    source: str | None
    kind: str | None
    period_s: float | None
    samples: int
    rate_hz: float | None
    idle_w: float | None
    idle_u95_w: float | None
    idle_before_w: float | None
    idle_after_w: float | None
    idle_windows: Mapping[str, tuple[int, int] | None] | None
    invoked_ratio: float | None
    is_estimate: bool | None
    accuracy_ratio: float | None
    overhead_cpu_ns: int
    reason: str | None
    energy_reason: str | None
    caution: str | None
    trace: PowerTrace | None

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
        idle_u95_w=fields.optional("idle_u95_w", fields.number),
        idle_before_w=fields.optional("idle_before_w", fields.number),
        idle_after_w=fields.optional("idle_after_w", fields.number),
        idle_windows=_idle_windows(fields.inner("idle_windows")) if fields.has("idle_windows") else None,
        invoked_ratio=fields.optional("invoked_ratio", fields.number),
        is_estimate=fields.optional("is_estimate", fields.flag),
        accuracy_ratio=fields.optional("accuracy_ratio", fields.number),
        overhead_cpu_ns=fields.optional("overhead_cpu_ns", fields.integer) or 0,
        reason=words(fields, "reason", _REASON_MAX),
        energy_reason=words(fields, "energy_reason", _REASON_MAX),
        caution=words(fields, "caution", _REASON_MAX),
        trace=read_trace(fields.inner("trace")) if fields.has("trace") else None,
    )


def trace_columns(trace: PowerTrace) -> dict[str, Any]:
    """Return the columns of `power_trace` for readings."""
    return {
        "begin_mono_ns": trace.begin_mono_ns,
        "count": trace.values.count,
        "intervals_codec": trace.intervals_ns.codec,
        "intervals_crc32": trace.intervals_ns.crc32,
        "intervals_data": trace.intervals_ns.data,
        "values_codec": trace.values.codec,
        "values_crc32": trace.values.crc32,
        "values_data": trace.values.data,
    }


def _idle_windows(fields: Fields) -> Mapping[str, tuple[int, int] | None]:
    return {name: _borders(fields.items(name, 2), name) for name in ("before", "after")}


def _borders(values: Sequence[Any], name: str) -> tuple[int, int] | None:
    if not values:
        return None
    borders = Fields(dict(zip(("begin", "end"), values, strict=False)), name)
    return borders.integer("begin"), borders.integer("end")


def read_trace(fields: Fields) -> PowerTrace:
    """Return the readings of a source. Raise Unfit for damaged ones."""
    trace = PowerTrace(
        fields.integer("begin_mono_ns"), _packed(fields.inner("intervals_ns")), _packed(fields.inner("values"))
    )
    if trace.intervals_ns.count != trace.values.count:
        raise Unfit("a power trace with more times than values, or fewer")
    return trace


def _packed(fields: Fields) -> Packed:
    packed = Packed(
        codec=fields.one_of("codec", tuple(CODECS)),
        count=fields.integer("count", 1, _READINGS_MAX),
        crc32=fields.integer("crc32", 0, 2**32 - 1),
        data=fields.base64("data"),
    )
    # Imported late: numpy is needed for samples only.
    from orchestrator.store.values.codec import load_block

    try:
        load_block(packed.codec, packed.data, packed.crc32, packed.count)
    except CorruptSamples as error:
        raise Unfit(f"a power trace: {error}") from None
    return packed


def words(fields: Fields, field: str, limit: int) -> str | None:
    """Return a clean text from the worker, or None for a missing or empty field."""
    return clean_text(fields.text(field), limit) or None
