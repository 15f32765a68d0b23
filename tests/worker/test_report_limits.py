"""What a trial may report: all that can be stored, and nothing else."""

import json

import pytest

from device_worker.protocol.limits import (
    ATTEMPT_SAMPLES_MAX,
    INT32_MAX,
    INTEGER_MAX,
    JSON_VALUES_MAX,
    METRICS_MAX,
    SAMPLED_METRICS_MAX,
)
from device_worker.protocol.samples import encode_block
from device_worker.runner.trial_output import TrialOutput

OUTPUTS = {"count": 1, "values_per_output": 1, "dtype": "f4", "data": "AACAPw==", "inputs": "random", "top1": [0]}
RESULTS = {"metric": "accuracy_top1", "encoding": "bits", "count": 3, "data": "BQ=="}


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
        {"input_results": RESULTS},
        {"input_results": dict(RESULTS, encoding="f4", data="AAAA" * 4, dataset_sha256="0" * 64)},
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
        ({"outputs": dict(OUTPUTS, inputs="guessed")}, "inputs is not dataset, file or random"),
        ({"outputs": dict(OUTPUTS, inputs=[])}, "inputs is not dataset, file or random"),
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
        ({"input_results": {}}, "not a name"),
        ({"input_results": dict(RESULTS, encoding="f8")}, "encoding is not bits or f4"),
        ({"input_results": dict(RESULTS, count=0)}, "count is not a whole number"),
        ({"input_results": dict(RESULTS, count=9)}, "1 bytes do not hold 9 results of encoding bits"),
        ({"input_results": dict(RESULTS, encoding="f4")}, "1 bytes do not hold 3 results of encoding f4"),
        ({"input_results": dict(RESULTS, data="?")}, "data is not base64"),
        ({"input_results": dict(RESULTS, count=1 << 20)}, "count is not a whole number"),
        ({"input_results": dict(RESULTS, dataset_sha256="digits")}, "dataset_sha256 is not a SHA-256"),
    ],
)
def test_what_cannot_be_stored_is_garbage_with_its_reason(said, reason):
    assert reason in heard(said).garbage


def test_so_many_metrics_and_no_more():
    lines = [{"metric": f"m{number}", "value": number} for number in range(METRICS_MAX)]
    assert heard(*lines[:-10]).garbage is None
    assert heard(*lines[:-10], lines[0]).garbage is None
    assert "more than 990 metrics" in heard(*lines[:-9]).garbage


def test_so_many_metrics_with_samples_and_no_more():
    lines = [{"metric": f"m{number}", "samples": [number]} for number in range(SAMPLED_METRICS_MAX)]
    assert heard(*lines, lines[0], {"metric": "mine", "value": 1}).garbage is None
    assert "more than 100 metrics with samples" in heard(*lines, {"metric": "mine", "samples": [1]}).garbage


def test_so_many_samples_of_all_metrics_and_no_more():
    half = encode_block([1] * (ATTEMPT_SAMPLES_MAX // 2))
    lines = [{"metric": name, "packed": half} for name in ("a_ns", "b_ns")]
    assert heard(*lines).garbage is None
    assert "more than 8000000 samples of all metrics" in heard(*lines, {"metric": "c_ns", "samples": [1]}).garbage


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"value": 1}, {"samples": [1]}, "both a number and samples"),
        ({"samples": [1]}, {"value": 1}, "both a number and samples"),
        ({"value": None, "reason": "no"}, {"value": 1}, "both a number and absent"),
        ({"samples": [1]}, {"value": None, "reason": "no"}, "both absent and samples"),
        ({"samples": [1]}, {"samples": [1], "batch": 2}, "batches of two sizes"),
    ],
)
def test_a_metric_that_stands_there_twice_is_garbage(first, second, reason):
    assert reason in heard(dict(first, metric="m"), dict(second, metric="m")).garbage


def test_an_absent_metric_keeps_its_reason():
    said = heard({"metric": "latency_ns", "value": 1}, {"metric": "rss_bytes_max", "value": None, "reason": "no /proc"})
    assert said.garbage is None
    assert said.metrics() == [
        {"name": "latency_ns", "value": 1},
        {"name": "rss_bytes_max", "value": None, "reason": "no /proc"},
    ]
    assert not heard({"metric": "rss_bytes_max", "value": None, "reason": "no /proc"}).has_metrics


@pytest.mark.parametrize("reason", [None, "", 5, "x" * 501])
def test_an_absent_metric_without_a_reason_is_garbage(reason):
    assert "without a value and without a reason" in heard({"metric": "m", "value": None, "reason": reason}).garbage


OPERATOR = {"operator": "Conv", "name": "c1", "placed_on": None, "calls": 3, "mean_ns": 1.5, "share": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runs": 0}, "runs is not a whole number"),
        ({"operators": []}, "operators is not a list"),
        ({"operators": [OPERATOR] * 2001}, "operators is not a list"),
        ({"operators": ["Conv"]}, "an operator is not an object"),
        ({"operators": [dict(OPERATOR, name="")]}, "not a name"),
        ({"operators": [dict(OPERATOR, placed_on=7)]}, "not a name"),
        ({"operators": [dict(OPERATOR, calls=0)]}, "calls is not a whole number"),
        ({"operators": [dict(OPERATOR, mean_ns=-1)]}, "mean_ns of an operator"),
        ({"operators": [dict(OPERATOR, share="all")]}, "share of an operator"),
    ],
)
def test_a_profile_that_cannot_be_stored_is_garbage(changes, words):
    good = {"runs": 3, "operators": [OPERATOR]}
    assert heard({"profile": good}).profile == good
    assert words in heard({"profile": dict(good, **changes)}).garbage


def test_inferences_are_counted_with_their_batch():
    said = heard({"metric": "latency_ns", "samples": [5, 6], "batch": 10}, {"metric": "m", "samples": [1]})
    assert said.inferences == 20
    assert heard({"metric": "m", "value": 1}).inferences == 0


def test_a_line_that_would_swell_when_it_is_parsed_is_garbage():
    output = TrialOutput(b'{"runtime": {"a": [' + b"{}," * 200000 + b"{}]}}\n")
    assert "more than 100000 objects and lists" in output.garbage
