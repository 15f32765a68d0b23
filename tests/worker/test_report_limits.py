"""What a trial may report: all that can be stored, and nothing else."""

import json

import pytest

from device_worker.protocol.limits import INT32_MAX, INTEGER_MAX, JSON_VALUES_MAX, METRICS_MAX
from device_worker.protocol.samples import encode_block
from device_worker.trial_output import TrialOutput

OUTPUTS = {"count": 1, "values_per_output": 1, "dtype": "f4", "data": "AACAPw==", "inputs": "random", "top1": [0]}


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return {"name": "mine", "deep": value}


def heard(*said):
    return TrialOutput("".join(json.dumps(line) + "\n" for line in said).encode())


@pytest.mark.parametrize(
    "said",
    [
        {"metric": "m" * 200, "value": 1},
        {"metric": "läuft · ok", "value": -1e308},
        {"metric": "m", "samples": [0, INTEGER_MAX], "batch": INT32_MAX},
        {"metric": "m", "samples": []},
        {"runtime": nested(11)},
        {"runtime": {"name": "mine", "huge": 10**300}},
        {"runtime": {"values": [0] * (JSON_VALUES_MAX - 20)}},
        {"outputs": OUTPUTS},
        {"outputs": dict(OUTPUTS, count=0, values_per_output=1 << 20, data="", top1=[])},
        {"window": {}},
    ],
)
def test_what_can_be_stored_is_taken(said):
    assert heard(said).garbage is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"metric": "m" * 201, "value": 1}, "not a name of 1 to 200 printable characters"),
        ({"metric": "a\nb", "value": 1}, "not a name"),
        ({"metric": "a\u202eb", "value": 1}, "not a name"),
        ({"metric": 7, "value": 1}, "not a name"),
        ({"metric": "m", "value": 10**400}, "not a finite number"),
        ({"metric": "m", "samples": [INTEGER_MAX + 1]}, "more than 63 bits"),
        ({"metric": "m", "samples": [2**64]}, "more than 63 bits"),
        ({"metric": "m", "packed": encode_block([2**63])}, "more than 63 bits"),
        ({"metric": "m", "samples": [1], "batch": INT32_MAX + 1}, "batch is not a whole number"),
        ({"metric": "m", "samples": [1], "batch": 1.0}, "batch is not a whole number"),
        ({"runtime": nested(12)}, "its runtime cannot be stored (nested deeper than 12)"),
        ({"runtime": {"values": [0] * JSON_VALUES_MAX}}, "its runtime cannot be stored (more than"),
        ({"runtime": {"speed": 10**400}}, "a number that is not finite"),
        ({"window": {"begin_mono_ns": 10**400}}, "its window cannot be stored"),
        ({"outputs": {"count": 0}}, "dtype is not f4"),
        ({"outputs": dict(OUTPUTS, dtype="f8")}, "dtype is not f4"),
        ({"outputs": dict(OUTPUTS, inputs="guessed")}, "inputs is not dataset or random"),
        ({"outputs": dict(OUTPUTS, inputs=[])}, "inputs is not dataset or random"),
        ({"outputs": dict(OUTPUTS, count=2)}, "4 bytes do not hold 2 x 1 numbers"),
        ({"outputs": dict(OUTPUTS, count=-1)}, "count is not a whole number"),
        ({"outputs": dict(OUTPUTS, count=True)}, "count is not a whole number"),
        ({"outputs": dict(OUTPUTS, data="?")}, "data is not base64"),
        ({"outputs": dict(OUTPUTS, data=7)}, "data is not base64"),
        ({"outputs": dict(OUTPUTS, count=1 << 15, data="AAAA" * (1 << 16))}, "196608 bytes do not hold"),
        ({"outputs": dict(OUTPUTS, top1=[-1])}, "an index in top1"),
        ({"outputs": dict(OUTPUTS, top1=[2**31])}, "an index in top1"),
        ({"outputs": dict(OUTPUTS, top1=[0] * (1 << 17))}, "top1 is not a list of at most"),
        ({"outputs": dict(OUTPUTS, top1="0")}, "top1 is not a list"),
    ],
)
def test_what_cannot_be_stored_is_garbage_with_its_reason(said, reason):
    assert reason in heard(said).garbage


def test_so_many_metrics_and_no_more():
    lines = [{"metric": f"m{number}", "value": number} for number in range(METRICS_MAX)]
    assert heard(*lines[:-10]).garbage is None
    assert heard(*lines[:-10], lines[0]).garbage is None
    assert "more than 990 metrics" in heard(*lines[:-9]).garbage


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"value": 1}, {"samples": [1]}, "both a number and samples"),
        ({"samples": [1]}, {"value": 1}, "both a number and samples"),
        ({"samples": [1]}, {"samples": [1], "batch": 2}, "batches of two sizes"),
    ],
)
def test_a_metric_that_stands_there_twice_is_garbage(first, second, reason):
    assert reason in heard(dict(first, metric="m"), dict(second, metric="m")).garbage


def test_inferences_are_counted_with_their_batch():
    said = heard({"metric": "latency_ns", "samples": [5, 6], "batch": 10}, {"metric": "m", "samples": [1]})
    assert said.inferences == 20
    assert heard({"metric": "m", "value": 1}).inferences == 0


def test_a_line_that_would_swell_when_it_is_parsed_is_garbage():
    output = TrialOutput(b'{"runtime": {"a": [' + b"{}," * 200000 + b"{}]}}\n")
    assert "more than 100000 objects and lists" in output.garbage
