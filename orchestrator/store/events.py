"""Check the shape of log records and turn them into values; pure, and never trusting.

Fields that are not known are ignored, as docs/worker-protocol.md promises; an unknown kind becomes `Ignored`. A known
field that is not what it should be raises Unfit: storing half an event would be a silent loss.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.limits import INT32_MAX, METRICS_MAX, OUTPUT_BYTES_MAX
from device_worker.protocol.samples import CODECS, SAMPLES_MAX, CorruptSamples
from device_worker.protocol.vocabulary import Event, Outcome, RunOutcome
from device_worker.protocol.vocabulary import Failure as FailureKind
from orchestrator.store.cleaning import Unfit, clean_tail, clean_text
from orchestrator.store.fields import Fields

if TYPE_CHECKING:
    from orchestrator.store.summary import Summary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGE_MAX = 2_000
_STDERR_MAX = 8_000


@dataclass(frozen=True, slots=True)
class LogOpened:
    """The first record of a log: whose it is."""

    run: str
    device: str
    plan_sha256: str
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class RunnerStarted:
    """A runner began, or began again, to work on the plan."""


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """An attempt began."""

    trial: str
    job: str
    attempt: int
    conditions: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed."""

    kind: str
    message: str
    signal: str | None
    exit_code: int | None
    stderr_tail: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """Packed samples as the device sent them, already checked."""

    codec: str
    batch: int
    count: int
    crc32: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric of an attempt: one number, or samples with their summary."""

    name: str
    value: float
    block: Block | None = None
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a preflight computed."""

    inputs: str
    count: int
    values_per_output: int
    data: bytes
    top1: list[int] | None


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """An attempt ended, well or badly."""

    trial: str
    job: str
    attempt: int
    ok: bool
    failure: Failure | None
    duration_ns: int | None
    conditions: Mapping[str, Any] | None
    conditions_before: Mapping[str, Any] | None
    invalid: tuple[str, ...]
    runtime: Mapping[str, Any] | None
    metrics: tuple[MetricReport, ...]
    outputs: Outputs | None

    @property
    def usable(self) -> bool:
        """Whether its numbers may be averaged in."""
        return self.ok and not self.invalid


@dataclass(frozen=True, slots=True)
class TrialSkipped:
    """A trial will not run, because its preflight failed."""

    trial: str
    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A runner ended of its own will."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event of a kind that this version does not know: only its number matters."""


Body = LogOpened | RunnerStarted | TrialStarted | TrialFinished | TrialSkipped | RunFinished | Ignored


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One record of a log: its number, when the device thinks that it happened, and what."""

    seq: int
    at: datetime | None
    body: Body


def parse_event(event: Mapping[str, Any]) -> LogEvent:
    """Return the value of a decoded record; raise Unfit saying what is wrong with it."""
    fields = Fields(event)
    seq = fields.integer("seq", low=1)
    kind = event.get("kind")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    return LogEvent(seq, _moment(event.get("at_unix_ns")), parse(fields) if parse else Ignored())


def as_garbage(event: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return a finished attempt whose report makes no sense as one that failed: it costs the attempt, not the log.

    The trial's program chose what stands there; which trial and attempt it was, the worker says.
    """
    failure = {"kind": FailureKind.GARBAGE, "message": f"what it reported cannot be stored: {reason}"}
    named = {key: event.get(key) for key in ("seq", "kind", "at_unix_ns", "trial", "job", "attempt")}
    return {**named, "outcome": Outcome.FAILED, "failure": failure, "invalid": [], "metrics": []}


def _moment(at_unix_ns: object) -> datetime | None:
    """Return the device's own time to the microsecond, or None where its clock says nothing that exists."""
    if type(at_unix_ns) is not int:
        return None
    try:
        return _EPOCH + timedelta(microseconds=at_unix_ns // 1000)
    except OverflowError:
        return None


def _log_opened(fields: Fields) -> LogOpened:
    protocol = fields.integer("protocol", low=1)
    if protocol > PROTOCOL_VERSION:
        raise Unfit(f"the worker speaks protocol {protocol}, this program {PROTOCOL_VERSION}: upgrade benchfleet")
    return LogOpened(
        fields.name("run"), fields.name("device"), fields.name("plan_sha256", 64), fields.name("worker_sha256", 64)
    )


def _runner_started(_fields: Fields) -> RunnerStarted:
    return RunnerStarted()


def _trial_started(fields: Fields) -> TrialStarted:
    return TrialStarted(
        fields.name("trial"),
        fields.name("job"),
        fields.integer("attempt", 1, INT32_MAX),
        fields.optional("conditions", fields.document),
    )


def _trial_finished(fields: Fields) -> TrialFinished:
    ok = fields.one_of("outcome", (Outcome.OK, Outcome.FAILED)) == Outcome.OK
    failure = fields.optional("failure", fields.inner)
    if failure is None and not ok:
        raise Unfit("outcome is failed and failure is null")
    outputs = fields.optional("outputs", fields.inner)
    return TrialFinished(
        trial=fields.name("trial"),
        job=fields.name("job"),
        attempt=fields.integer("attempt", 1, INT32_MAX),
        ok=ok,
        failure=None if failure is None or ok else _failure(failure),
        duration_ns=fields.optional("duration_ns", fields.integer),
        conditions=fields.optional("conditions", fields.document),
        conditions_before=fields.optional("conditions_before", fields.document),
        invalid=_reasons(fields),
        runtime=fields.optional("runtime", fields.document),
        metrics=_metrics(fields),
        outputs=None if outputs is None else _outputs(outputs),
    )


def _failure(fields: Fields) -> Failure:
    return Failure(
        fields.name("kind"),
        clean_text(fields.text("message"), _MESSAGE_MAX),
        fields.optional("signal", fields.name),
        fields.optional("exit_code", lambda field: fields.integer(field, -INT32_MAX, INT32_MAX)),
        fields.optional("stderr_tail", lambda field: clean_tail(fields.text(field), _STDERR_MAX)),
    )


def _reasons(fields: Fields) -> tuple[str, ...]:
    reasons = fields.items("invalid", 100)
    if not all(isinstance(reason, str) for reason in reasons):
        raise Unfit("invalid is not a list of texts")
    return tuple(clean_text(reason, 200) for reason in reasons)


def _metrics(fields: Fields) -> tuple[MetricReport, ...]:
    reports: dict[str, MetricReport | None] = {}
    for item in fields.items("metrics", METRICS_MAX):
        metric = Fields(item, "a metric")
        name = metric.name("name")
        if name in reports:
            raise Unfit(f"metric {name} stands there twice")
        try:
            reports[name] = _metric(name, metric)
        except (Unfit, CorruptSamples) as error:
            raise Unfit(f"metric {name}: {error}") from None
    return tuple(report for report in reports.values() if report is not None)


def _metric(name: str, fields: Fields) -> MetricReport | None:
    """Return the report, or None where there is nothing in it: what was not measured is not stored."""
    samples = fields.optional("samples", fields.inner)
    if samples is None:
        value = fields.optional("value", fields.number)
        return None if value is None else MetricReport(name, value)
    block = Block(
        codec=samples.one_of("codec", tuple(CODECS)),
        batch=fields.optional("batch", lambda field: fields.integer(field, 1, INT32_MAX)) or 1,
        count=samples.integer("count", 0, SAMPLES_MAX),
        crc32=samples.integer("crc32", 0, 2**32 - 1),
        data=_base64(samples, "data"),
    )
    from orchestrator.store.codec import load_block
    from orchestrator.store.summary import summarise

    numbers = load_block(block.codec, block.data, block.crc32, block.count)
    if not block.count:
        return None
    summary = summarise(numbers)
    return MetricReport(name, summary.median, block, summary)


def _outputs(fields: Fields) -> Outputs:
    fields.one_of("dtype", ("f4",))
    count = fields.integer("count", 0, OUTPUT_BYTES_MAX)
    values_per_output = fields.integer("values_per_output", 0, INT32_MAX)
    data = _base64(fields, "data")
    if len(data) > OUTPUT_BYTES_MAX or len(data) != 4 * count * values_per_output:
        raise Unfit(f"outputs: {len(data)} bytes do not hold {count} x {values_per_output} numbers")
    top1 = list(fields.items("top1", OUTPUT_BYTES_MAX))
    if any(type(index) is not int or not 0 <= index <= INT32_MAX for index in top1):
        raise Unfit("outputs: top1 is not a list of indices")
    return Outputs(fields.one_of("inputs", ("dataset", "random")), count, values_per_output, data, top1 or None)


def _base64(fields: Fields, field: str) -> bytes:
    try:
        return base64.b64decode(fields.text(field), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(f"{field} is not base64") from None


def _trial_skipped(fields: Fields) -> TrialSkipped:
    return TrialSkipped(fields.name("trial"), fields.name("job"), clean_text(fields.text("reason"), _MESSAGE_MAX))


def _run_finished(fields: Fields) -> RunFinished:
    return RunFinished(fields.one_of("outcome", (RunOutcome.COMPLETE, RunOutcome.CANCELLED, RunOutcome.DISK_FULL)))


_PARSERS: Mapping[str, Callable[[Fields], Body]] = {
    Event.LOG_OPENED: _log_opened,
    Event.RUNNER_STARTED: _runner_started,
    Event.TRIAL_STARTED: _trial_started,
    Event.TRIAL_FINISHED: _trial_finished,
    Event.TRIAL_SKIPPED: _trial_skipped,
    Event.RUN_FINISHED: _run_finished,
}
