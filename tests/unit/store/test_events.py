"""What a device may say, and what it may not."""

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.ingest.events import (
    Ignored,
    LogOpened,
    RunFinished,
    TrialFinished,
    TrialSkipped,
    TrialStarted,
    parse_event,
)
from orchestrator.store.values.hygiene import Unfit
from orchestrator.testing.event_logs import (
    EventLog,
    Sampled,
    input_results,
    number,
    outputs,
    sample_device,
    sample_model,
    sample_plan,
    sample_sweep,
)

PLAN = sample_plan(sample_device(), sample_sweep(), sample_model())
TRIAL = PLAN.trials[0].key
LATENCIES = Sampled("latency_ns", list(range(300)))


def last_event(log: EventLog) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(log.lines[-1].split(b" ", 2)[2])
    return event


def finished(**fields: Any) -> dict[str, Any]:
    return last_event(EventLog("run", PLAN).finished(TRIAL, **fields))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda log: log, LogOpened),
        (lambda log: log.started(TRIAL), TrialStarted),
        (lambda log: log.finished(TRIAL), TrialFinished),
        (lambda log: log.failed(TRIAL), TrialFinished),
        (lambda log: log.skipped(TRIAL), TrialSkipped),
        (lambda log: log.run_finished(), RunFinished),
        (lambda log: log.append("thermal-report", zones=[]), Ignored),
    ],
)
def test_every_kind_has_its_value(build: Callable[[EventLog], EventLog], expected: type) -> None:
    event = parse_event(last_event(build(EventLog("run", PLAN))))
    assert isinstance(event.body, expected)


@pytest.mark.parametrize("seq", [0, -1, 2**70, True, 1.5, "1", None])
def test_numbers_that_are_no_numbers_are_refused(seq: object) -> None:
    with pytest.raises(Unfit, match="seq is not a whole number"):
        parse_event({"seq": seq, "kind": "later"})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("outcome", "great", "outcome is not ok or failed"),
        ("outcome", None, "outcome is not ok or failed"),
        ("outcome", "failed", "outcome is failed and failure is null"),
        ("attempt", 0, "attempt is not a whole number"),
        ("attempt", 2**40, "attempt is not a whole number"),
        ("trial", "", "trial is not a name"),
        ("trial", None, "trial is not a name"),
        ("job", ["x"], "job is not a name"),
        ("duration_ns", -1, "duration_ns is not a whole number"),
        ("duration_ns", 1.5, "duration_ns is not a whole number"),
        ("duration_ns", 2**80, "duration_ns is not a whole number"),
        ("conditions", [], "conditions is not an object"),
        ("conditions", {"a": float("inf")}, "conditions: a number that is not finite"),
        ("invalid", "too-hot", "invalid is not a list"),
        ("invalid", [1], "invalid is not a list of texts"),
        ("metrics", {}, "metrics is not a list"),
        ("metrics", [1], "a metric is not an object"),
        ("metrics", [{"value": 1}], "name is not a name"),
        ("metrics", [{"name": "a\nb", "value": 1}], "name is not a name"),
        ("metrics", [number("a", 1), number("a", 2)], "metric a stands there twice"),
        ("metrics", [{"name": "a", "value": "1"}], "metric a: value is not a number"),
        ("metrics", [{"name": "a", "value": True}], "metric a: value is not a number"),
        ("metrics", [{"name": "a", "value": 10**400}], "metric a: value is not a finite number"),
        ("metrics", [{"name": "a", "value": float("inf")}], "metric a: value is not a finite number"),
        ("metrics", [{"name": "a", "samples": [1, 2]}], "samples is not an object"),
        ("metrics", [number(f"m{i}", i) for i in range(1001)], "a list of at most 1000"),
        ("runtime", "tflite", "runtime is not an object"),
        ("outputs", [], "outputs is not an object"),
        ("outputs", {**outputs([[1.0]]), "dtype": "f8"}, "dtype is not f4"),
        ("outputs", {**outputs([[1.0]]), "count": 2}, "do not hold"),
        ("outputs", {**outputs([[1.0]]), "inputs": "guessed"}, "inputs is not dataset or file or random"),
        ("outputs", {**outputs([[1.0]]), "top1": [-1]}, "top1 is not a list of indices"),
        ("outputs", {**outputs([[1.0]]), "data": "?"}, "data is not base64"),
        ("outputs", outputs([[0.0] * 20_000]), "80000 bytes do not hold"),
        ("input_results", [], "input_results is not an object"),
        ("input_results", {**input_results([True]), "encoding": "f8"}, "encoding is not bits or f4"),
        ("input_results", {**input_results([True]), "count": 9}, "1 bytes do not hold 9 results of encoding bits"),
        ("input_results", {**input_results([True]), "encoding": "f4"}, "do not hold 1 results of encoding f4"),
        ("input_results", {**input_results([True]), "count": 0}, "count"),
        ("input_results", {**input_results([True]), "metric": ""}, "metric"),
        ("input_results", input_results([True], dataset_sha256="digits"), "dataset_sha256 is not a SHA-256"),
        ("failure", "broken", "failure is not an object"),
    ],
)
def test_nonsense_in_a_result_is_refused(field: str, value: object, reason: str) -> None:
    with pytest.raises(Unfit) as raised:
        parse_event({**finished(), field: value})
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codec", "u16"),
        ("count", 299),
        ("count", 2**40),
        ("count", -1),
        ("crc32", 0),
        ("data", base64.b64encode(b"not zlib").decode()),
        ("data", "%"),
        ("data", None),
    ],
)
def test_damaged_samples_are_refused(field: str, value: object) -> None:
    report = LATENCIES.report()
    report["samples"][field] = value
    with pytest.raises(Unfit, match="metric latency_ns: "):
        parse_event(finished(metrics=[report]))


def test_samples_of_64_bits_are_refused() -> None:
    with pytest.raises(Unfit, match="63 bits"):
        parse_event(finished(metrics=[Sampled("latency_ns", [2**64 - 1])]))


def test_a_result_without_what_may_be_missing() -> None:
    event = finished()
    for field in (
        "failure",
        "conditions",
        "conditions_before",
        "runtime",
        "outputs",
        "metrics",
        "invalid",
        "duration_ns",
    ):
        del event[field]
    body = parse_event(event).body
    assert isinstance(body, TrialFinished)
    assert body.usable
    assert (body.metrics, body.invalid, body.conditions, body.duration_ns) == ((), (), None, None)


def test_a_good_result_has_no_failure() -> None:
    failure = {"kind": "exit-code", "message": "odd"}
    body = parse_event(finished(failure=failure)).body
    assert isinstance(body, TrialFinished)
    assert body.failure is None


@pytest.mark.parametrize("at", [None, "now", 10**30, -(10**30), 1.5, True])
def test_a_clock_that_says_nothing_is_unknown(at: object) -> None:
    assert parse_event({**finished(), "at_unix_ns": at}).at is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(sorted(finished())), JSON)
def test_any_value_anywhere_is_parsed_or_refused(field: str, value: object) -> None:
    with contextlib.suppress(Unfit):
        parse_event({**finished(metrics=[LATENCIES.report()]), field: value})
