"""Whatever a well-framed record says, it becomes a value that can be stored and shown, or is Unfit."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_worker.protocol.limits import ATTEMPT_SAMPLES_MAX, SAMPLED_METRICS_MAX
from device_worker.protocol.records import CorruptRecord, decode_record, encode_record
from device_worker.protocol.samples import encode_block
from device_worker.protocol.vocabulary import Event
from orchestrator.store.ingest.events import as_garbage, parse_event
from orchestrator.store.values import codec
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
from tests.effort import examples

PLAN = sample_plan(sample_device(), sample_sweep(), sample_model())
TRIAL = PLAN.trials[0].key
METRICS: list[Sampled | Mapping[str, Any]] = [Sampled("latency_ns", range(100, 120)), number("rss_bytes_max", 7)]
LOG = EventLog("run", PLAN).runner_started().started(TRIAL)
LOG.finished(TRIAL, METRICS, outputs=outputs([[0.1, 0.9]]), input_results=input_results([True, False])).failed(
    TRIAL
).skipped(TRIAL).run_finished()
EVENTS = [decode_record(line) for line in LOG.lines]

NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=True, allow_infinity=True)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=15,
)


def refusal(metrics: int, samples: int) -> str | None:
    """Return why a result with so many metrics, each of so many samples, is refused."""
    packed = encode_block([0] * samples)
    reports = [{"name": f"m{index}_ns", "batch": 1, "samples": packed} for index in range(metrics)]
    event = {**EVENTS[3], "metrics": reports}
    assert event["kind"] == Event.TRIAL_FINISHED
    try:
        parse_event(event)
    except Unfit as unfit:
        return str(unfit)
    return None


@pytest.mark.system
def test_the_work_that_a_record_may_cause_is_bounded_before_any_of_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(2, ATTEMPT_SAMPLES_MAX // 2) is None
    assert refusal(SAMPLED_METRICS_MAX, 1) is None
    monkeypatch.setattr(codec, "load_block", None)
    assert refusal(300, 4_000_000) == "300 metrics with samples, more than 100"
    assert refusal(3, 4_000_000) == "12000000 samples of all metrics, more than 8000000"


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a real event with one or two of its fields, at any depth, replaced by anything."""
    event = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(1, 2))):
        place: Any = event
        while isinstance(place, dict | list) and place:
            key = (
                draw(st.sampled_from(sorted(place)))
                if isinstance(place, dict)
                else draw(st.integers(0, len(place) - 1))
            )
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                place[key] = draw(JSON)
                break
            place = place[key]
    return dict(event)


@pytest.mark.long
@given(spoilt())
@settings(max_examples=examples(200), deadline=None)
def test_a_spoilt_event_is_fit_or_unfit(event: dict[str, Any]) -> None:
    for one in (event, as_garbage(event, "nonsense") if event.get("kind") == Event.TRIAL_FINISHED else event):
        try:
            parsed = parse_event(one)
        except Unfit as error:
            said = str(error)
        else:
            said = ""
            repr(parsed).encode("utf-8")
            assert "nan" not in repr(getattr(parsed.body, "metrics", ())).lower()
        said.encode("utf-8", "backslashreplace")
        assert len(said) < 2_000


@given(st.binary(max_size=300))
def test_no_bytes_are_a_record_by_accident(data: bytes) -> None:
    try:
        event = decode_record(data)
    except CorruptRecord:
        return
    assert decode_record(encode_record(event)) == event


def test_a_record_of_a_million_parts_is_refused_before_it_is_parsed() -> None:
    line = encode_record({"seq": 1, "kind": "x", "a": [{}] * 600_000})
    with pytest.raises(CorruptRecord, match="more than 1000000 parts"):
        decode_record(line)
