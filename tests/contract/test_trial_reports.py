"""What a worker takes from a trial's program, the store takes from the worker."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from device_worker.protocol.limits import INT32_MAX, INTEGER_MAX, JSON_VALUES_MAX, METRICS_MAX, RUNNER_SHARE
from device_worker.protocol.vocabulary import FailureKind, Outcome
from device_worker.runner.failures import find_failure
from device_worker.runner.trial_output import TrialOutput
from device_worker.runner.trial_process import Ending, TrialCommand
from orchestrator.domain.facts import Facts
from orchestrator.store.schema import tables
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.effort import examples

RUN = "run-1"
DEVICE, MODEL, SWEEP = sample_device(), sample_model(), sample_sweep()
PLAN = sample_plan(DEVICE, SWEEP, MODEL)
TRIAL = PLAN.trials[0].key
LAUNCH = TrialCommand(["program"], "/", {}, "/dev/null")
LOGS = itertools.count()
EMPTY_OUTPUTS = {"count": 0, "dtype": "f4", "data": "", "inputs": "random", "top1": []}

EDGES = st.sampled_from([-1, 0, 1, INT32_MAX, INT32_MAX + 1, INTEGER_MAX, INTEGER_MAX + 1, 2**64, 10**400])
JSON = st.recursive(
    st.none() | st.booleans() | EDGES | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
DEEP = st.integers(9, 14).map(lambda depth: json.loads("[" * depth + "]" * depth))
NAMES = st.sampled_from(["latency_ns", "rss_bytes_max", "m"]) | st.text(max_size=4) | st.just("n" * 201)


def a_metric() -> st.SearchStrategy[dict[str, Any]]:
    samples = st.lists(st.integers(0, INTEGER_MAX) | EDGES, max_size=20)
    return st.fixed_dictionaries(
        {"metric": NAMES},
        optional={"value": st.floats() | EDGES | JSON, "samples": samples | JSON, "batch": st.integers(1, 9) | EDGES},
    )


@st.composite
def some_range(draw: st.DrawFn) -> dict[str, Any]:
    """What a quantised input holds and was given, and sometimes one field that does not fit."""
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 70), 1 << 70)
    fields: dict[str, Any] = {
        "name": draw(st.text(max_size=4)),
        "dtype": "int8",
        **{key: draw(numbers) for key in ("low", "high", "scale")},
        "saturated_ratio": draw(st.floats(0, 1)),
        "data_low": draw(st.none() | numbers),
        "data_high": draw(st.none() | numbers),
    }
    if draw(st.integers(0, 3)) == 0:
        fields[draw(st.sampled_from(sorted(fields)))] = draw(JSON)
    return fields


@st.composite
def some_outputs(draw: st.DrawFn) -> dict[str, Any]:
    """Outputs that hang together, and sometimes one field that does not."""
    count, values = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    fields: dict[str, Any] = {
        "count": count,
        "values_per_output": values,
        "dtype": "f4",
        "data": base64.b64encode(draw(st.binary(min_size=4 * count * values, max_size=4 * count * values))).decode(),
        "inputs": draw(st.sampled_from(["dataset", "random"])),
        "top1": draw(st.none() | st.lists(st.integers(0, 9), max_size=4)),
        "reason": draw(st.none() | st.text(max_size=4)),
        "input_ranges": draw(st.none() | st.just([]) | st.lists(some_range(), max_size=2)),
        "layout": draw(st.none() | st.just([{"name": "a", "shape": [1, values]}]) | st.just([])),
    }
    if draw(st.integers(0, 3)) == 0:
        fields[draw(st.sampled_from(sorted(fields)))] = draw(JSON)
    return fields


@st.composite
def some_results(draw: st.DrawFn) -> dict[str, Any]:
    """Results by input that hang together, and sometimes one field that does not."""
    count, encoding = draw(st.integers(1, 20)), draw(st.sampled_from(["bits", "f4"]))
    size = (count + 7) // 8 if encoding == "bits" else 4 * count
    data = base64.b64encode(draw(st.binary(min_size=size, max_size=size))).decode()
    fields: dict[str, Any] = {"metric": "accuracy_top1", "encoding": encoding, "count": count, "data": data}
    if draw(st.integers(0, 3)) == 0:
        fields[draw(st.sampled_from(sorted(fields)))] = draw(JSON)
    return fields


REPORTS = st.lists(
    a_metric()
    | st.fixed_dictionaries({"runtime": st.fixed_dictionaries({"name": JSON, "version": EDGES | DEEP}) | JSON})
    | st.fixed_dictionaries({"window": st.dictionaries(st.sampled_from(["begin_mono_ns", "x"]), JSON)})
    | st.fixed_dictionaries({"outputs": some_outputs()})
    | st.fixed_dictionaries({"input_results": some_results()})
    | st.fixed_dictionaries(
        {"failure": st.fixed_dictionaries({"kind": st.text(max_size=9)}, optional={"message": JSON})}
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database with one planned run, whose device begins log after log."""
    with open_store(str(tmp_path_factory.mktemp("reports") / "benchfleet.db")) as opened:
        opened.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [DEVICE])
        save_plan(opened, RUN, PLAN, save_snapshot(opened, DEVICE, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        yield opened


def ingested(store: Store, stdout: bytes) -> tuple[dict[str, Any] | None, Any]:
    """Return the failure that the worker found in a program's output, and the attempt that the store made of it."""
    ending = Ending()
    ending.status, ending.stdout = 0, bytearray(stdout)
    said = TrialOutput(ending.stdout)
    failure = find_failure(ending, said, LAUNCH)
    kept: dict[str, Any] = {"metrics": said.metrics(), "outputs": said.outputs} if failure is None else {}
    if failure is None and said.input_results is not None:
        kept["input_results"] = {**said.input_results, "dataset_sha256": "d" * 64}
    outcome = Outcome.OK if failure is None else Outcome.FAILED
    log = EventLog(RUN, PLAN, f"log-{next(LOGS)}").started(TRIAL)
    log.finished(TRIAL, outcome=outcome, failure=failure, runtime=said.runtime, window=said.window, **kept)
    store.logs.ingest([log.arrived()])
    with store.database.read() as connection:
        attempt = connection.execute(select(tables.attempt).filter_by(log_id=log.log_id)).one()
    return failure, attempt


def lines(*said: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in said).encode()


@pytest.mark.long
@settings(max_examples=examples(60), deadline=None)
@given(said=REPORTS)
def test_what_the_worker_takes_is_stored_as_it_stands(reports: Store, said: list[dict[str, Any]]) -> None:
    failure, attempt = ingested(reports, lines({"metric": "steady_ratio", "value": 1}, *said, {"done": True}))
    assert attempt.outcome == (Outcome.OK if failure is None else Outcome.FAILED)
    assert attempt.failure_kind == (failure and failure["kind"])
    assert not (attempt.failure_message or "").startswith("what it reported cannot be stored")


@pytest.mark.parametrize(
    "said",
    [
        [{"metric": f"m{number}", "value": number} for number in range(METRICS_MAX - RUNNER_SHARE)],
        [{"metric": "latency_ns", "samples": [INTEGER_MAX], "batch": INT32_MAX}],
        [{"runtime": {"values": [0] * (JSON_VALUES_MAX - RUNNER_SHARE - 2)}}, {"metric": "m", "value": 1}],
        [{"outputs": {**EMPTY_OUTPUTS, "values_per_output": INT32_MAX}}, {"metric": "m", "value": 1}],
    ],
    ids=["metrics", "samples", "runtime", "outputs"],
)
def test_the_largest_report_that_the_worker_takes_is_stored(reports: Store, said: list[dict[str, Any]]) -> None:
    failure, attempt = ingested(reports, lines(*said, {"done": True}))
    assert (failure, attempt.outcome, attempt.failure_message) == (None, Outcome.OK, None)


def test_a_report_out_of_limits_fails_on_the_device(reports: Store) -> None:
    said = {"metric": "m", "samples": [INTEGER_MAX + 1]}
    failure, attempt = ingested(reports, lines(said, {"done": True}))
    assert failure is not None
    assert (failure["kind"], attempt.failure_kind) == (FailureKind.GARBAGE, FailureKind.GARBAGE)
    assert attempt.failure_message.startswith("a sample below 0 or of more than 63 bits: ")
