"""Check the shape of log records, and turn records into values.

Unknown fields are ignored, as docs/worker-protocol.md promises. An unknown kind becomes `Ignored`. A wrong value of a
known field raises Unfit, because storing half an event would be a silent loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.limits import (
    INT32_MAX,
    INTEGER_MAX,
    METRICS_MAX,
    NAME_CHARACTERS_MAX,
    REASON_CHARACTERS_MAX,
)
from device_worker.protocol.samples import CODECS, SAMPLES_MAX, CorruptSamples
from device_worker.protocol.vocabulary import Event, FailureKind, Outcome, RunOutcome
from orchestrator.domain.metric import POWER_METRICS, unit_named
from orchestrator.store.ingest.outputs import InputResults, Outputs, read_input_results, read_outputs
from orchestrator.store.ingest.power import PowerAccount, read_power, words
from orchestrator.store.ingest.profile import Profile, read_profile
from orchestrator.store.ingest.work import refuse_heavy
from orchestrator.store.values.fields import Fields
from orchestrator.store.values.hygiene import Unfit, clean_tail, clean_text

if TYPE_CHECKING:
    from orchestrator.store.ingest.summary import Summary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGE_MAX = 2_000
_STDERR_MAX = 8_000


@dataclass(frozen=True, slots=True)
class LogOpened:
    """Open a log, and name the run, the device, the plan and the worker."""

    run: str
    device: str
    plan_sha256: str
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class RunnerStarted:
    """Report the start of a runner on the plan, the first start or a later start."""


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """Report the start of an attempt."""

    trial: str
    job: str
    attempt: int
    conditions: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Describe the failure of an attempt."""

    kind: str
    message: str
    signal: str | None
    exit_code: int | None
    stderr_tail: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """Hold packed samples as sent by the device, after a check."""

    codec: str
    batch: int
    count: int
    crc32: int
    data: bytes


class MetricReport(NamedTuple):
    """Hold a metric of an attempt: a single number, or samples with a summary.

    `source` is the power source of a figure of power.
    """

    name: str
    value: float
    block: Block | None = None
    summary: Summary | None = None
    source: str | None = None

    @property
    def unit(self) -> str:
        """Return the unit, from the name."""
        return unit_named(self.name)


class AbsentMetric(NamedTuple):
    """Hold a metric that an attempt could not measure, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """Hold the begin and the end of the measured part of a trial, by the device's CLOCK_MONOTONIC."""

    begin_mono_ns: int
    end_mono_ns: int


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """Report the end of an attempt, well or badly."""

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
    window: Window | None
    power: PowerAccount | None
    exclusive: bool | None
    input_results: InputResults | None = None
    absent: tuple[AbsentMetric, ...] = ()
    profile: Profile | None = None

    @property
    def usable(self) -> bool:
        """Return True if the attempt's numbers may be compared: outcome ok, and no condition broken."""
        return self.ok and not self.invalid


@dataclass(frozen=True, slots=True)
class TrialSkipped:
    """Report a trial not to be run, because the preflight failed."""

    trial: str
    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialSpared:
    """Report a trial not to be run, because the stop rule has enough trials of the cell."""

    trial: str
    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Report the regular end of a runner."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Stand for an event of an unknown kind. Only the event's number matters."""


TrialEvent = TrialStarted | TrialFinished | TrialSkipped | TrialSpared
"""Events of a trial of the plan, replayed by `orchestrator.store.ingest.replay`."""

Body = LogOpened | RunnerStarted | TrialEvent | RunFinished | Ignored


@dataclass(frozen=True, slots=True)
class LogEvent:
    """Hold a record of a log: the number, the time by the device's clock or None, and the event."""

    seq: int
    at: datetime | None
    body: Body


def parse_event(event: Mapping[str, Any]) -> LogEvent:
    """Return a decoded record as a value. Raise Unfit with the reason for a wrong field."""
    fields = Fields(event)
    seq = fields.integer("seq", low=1)
    kind = event.get("kind")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    return LogEvent(seq, _moment(event.get("at_unix_ns")), parse(fields) if parse else Ignored())


def as_garbage(event: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return the record of a finished attempt with a nonsense report as the record of a failed attempt.

    The report comes from the trial's program. Trial and attempt are named by the worker, and are kept.
    """
    failure = {"kind": FailureKind.GARBAGE, "message": f"what it reported cannot be stored: {reason}"}
    named = {key: event.get(key) for key in ("seq", "kind", "at_unix_ns", "trial", "job", "attempt")}
    return {**named, "outcome": Outcome.FAILED, "failure": failure, "invalid": [], "metrics": []}


def _moment(at_unix_ns: object) -> datetime | None:
    """Return the device's time to the microsecond. Return None for a time out of range, or for none at all."""
    # Not isinstance, since True is an int.
    if type(at_unix_ns) is not int:
        return None
    try:
        return _EPOCH + timedelta(microseconds=at_unix_ns // 1000)
    except OverflowError:
        return None


def _log_opened(fields: Fields) -> LogOpened:
    protocol = fields.integer("protocol", low=1)
    # A newer worker may mean something else by a known field. An older log is read for good.
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
    results = fields.optional("input_results", fields.inner)
    window = fields.optional("window", fields.inner)
    profile = fields.optional("profile", fields.inner)
    power = fields.optional("power", fields.inner)
    account = None if power is None else read_power(power)
    return TrialFinished(
        trial=fields.name("trial"),
        job=fields.name("job"),
        attempt=fields.integer("attempt", 1, INT32_MAX),
        ok=ok,
        # The outcome decides: a failure beside an ok would make a counted attempt with a reason against it.
        failure=None if failure is None or ok else _failure(failure),
        duration_ns=fields.optional("duration_ns", fields.integer),
        conditions=fields.optional("conditions", fields.document),
        conditions_before=fields.optional("conditions_before", fields.document),
        invalid=_reasons(fields),
        runtime=fields.optional("runtime", fields.document),
        metrics=_metrics(fields, None if account is None else account.source_of_metrics),
        absent=_absent(fields),
        profile=None if profile is None else read_profile(profile),
        outputs=None if outputs is None else read_outputs(outputs),
        window=None if window is None else _window(window),
        power=account,
        exclusive=fields.optional("exclusive", fields.flag),
        input_results=None if results is None else read_input_results(results),
    )


def _failure(fields: Fields) -> Failure:
    return Failure(
        fields.name("kind"),
        clean_text(fields.text("message"), _MESSAGE_MAX),
        fields.optional("signal", fields.name),
        fields.optional_integer("exit_code", -INT32_MAX, INT32_MAX),
        None if (tail := fields.optional("stderr_tail", fields.text)) is None else clean_tail(tail, _STDERR_MAX),
    )


def _reasons(fields: Fields) -> tuple[str, ...]:
    reasons = fields.items("invalid", 100)
    if not all(isinstance(reason, str) for reason in reasons):  # a device may send a list of anything
        raise Unfit("invalid is not a list of texts")
    return tuple(clean_text(reason, 200) for reason in reasons)


def _metrics(fields: Fields, power_source: str | None) -> tuple[MetricReport, ...]:
    """Return the metrics of an attempt. An older worker names no source: `power_source` is then the source of power."""
    # The limits are the protocol's: the worker fails an attempt beyond them itself, and both sides agree.
    items = fields.items("metrics", METRICS_MAX)
    refuse_heavy(items)
    reports: dict[str, MetricReport | None] = {}
    for item in items:
        number = _plain_number(item, power_source)
        if number is not None and number.name not in reports:
            reports[number.name] = number
            continue
        metric = Fields(item, "a metric")
        name = metric.name("name")
        if name in reports:
            raise Unfit(f"metric {name} stands there twice")
        try:
            reports[name] = _metric(name, metric, power_source if name in POWER_METRICS else None)
        except (Unfit, CorruptSamples) as error:
            raise Unfit(f"metric {name}: {error}") from None
    return tuple(report for report in reports.values() if report is not None)


def _plain_number(item: object, power_source: str | None) -> MetricReport | None:
    """Return the report of a metric of one good number, as nearly all are. Return None for any other metric."""
    if type(item) is not dict or item.get("samples") is not None or item.get("source") is not None:
        return None
    name, value = item.get("name"), item.get("value")
    if type(value) is int:
        value = float(value) if -INTEGER_MAX <= value <= INTEGER_MAX else None
    if type(value) is not float or not -math.inf < value < math.inf:
        return None
    if type(name) is not str or not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        return None
    return MetricReport(name, value, None, None, power_source if name in POWER_METRICS else None)


def _absent(fields: Fields) -> tuple[AbsentMetric, ...]:
    """Return the metrics without a value that have a reason. Older workers say nothing of absent metrics."""
    told = []
    for item in fields.items("metrics", METRICS_MAX):
        # Most metrics have a value: no object is made for those.
        if type(item) is not dict or item.get("value") is not None or item.get("samples") is not None:
            continue
        metric = Fields(item, "a metric")
        reason = words(metric, "reason", REASON_CHARACTERS_MAX)
        if reason is not None:
            told.append(AbsentMetric(metric.name("name"), reason))
    return tuple(told)


def _metric(name: str, fields: Fields, power_source: str | None) -> MetricReport | None:
    """Return the report of a metric, or None for an empty report: a metric not measured is not stored."""
    if not fields.has("samples"):
        if not fields.has("value"):
            return None
        told = words(fields, "source", NAME_CHARACTERS_MAX) if fields.has("source") else None
        return MetricReport(name, fields.number("value"), source=told or power_source)
    samples = fields.inner("samples")
    block = Block(
        codec=samples.one_of("codec", tuple(CODECS)),
        batch=fields.optional_integer("batch", 1, INT32_MAX) or 1,
        count=samples.integer("count", 0, SAMPLES_MAX),
        crc32=samples.integer("crc32", 0, 2**32 - 1),
        data=samples.base64("data"),
    )
    # Imported late: numpy is needed for samples only.
    from orchestrator.store.ingest.summary import summarise
    from orchestrator.store.values.codec import load_block

    numbers = load_block(block.codec, block.data, block.crc32, block.count)
    if not block.count:
        return None
    summary = summarise(numbers)
    return MetricReport(name, summary.median, block, summary)


def _window(fields: Fields) -> Window | None:
    """Return the window, or None if the trial's report makes no sense. The account of power then says so."""
    try:
        window = Window(fields.integer("begin_mono_ns"), fields.integer("end_mono_ns"))
    except Unfit:
        return None
    return window if window.begin_mono_ns <= window.end_mono_ns else None


def _left_out(fields: Fields) -> tuple[str, str, str]:
    return fields.name("trial"), fields.name("job"), clean_text(fields.text("reason"), _MESSAGE_MAX)


def _run_finished(fields: Fields) -> RunFinished:
    return RunFinished(fields.one_of("outcome", (RunOutcome.COMPLETE, RunOutcome.CANCELLED, RunOutcome.DISK_FULL)))


_PARSERS: Mapping[str, Callable[[Fields], Body]] = {
    Event.LOG_OPENED: _log_opened,
    Event.RUNNER_STARTED: _runner_started,
    Event.TRIAL_STARTED: _trial_started,
    Event.TRIAL_FINISHED: _trial_finished,
    Event.TRIAL_SKIPPED: lambda fields: TrialSkipped(*_left_out(fields)),
    Event.TRIAL_SPARED: lambda fields: TrialSpared(*_left_out(fields)),
    Event.RUN_FINISHED: _run_finished,
}
