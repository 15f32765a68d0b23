"""What a served model's client does about servers that are lost, late, wrong or busy. Real servers: tests/system."""

from __future__ import annotations

import json
import sys
import threading
from time import perf_counter_ns

import pytest

from device_worker.protocol.fields import Fields
from device_worker.protocol.specification import MeasureRule
from device_worker.trial import http_connection
from device_worker.trial.connection import RequestFailed
from device_worker.trial.http_connection import HttpConnection
from device_worker.trial.measurement import StopRule
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.scenarios import poisson_arrivals
from device_worker.trial.server_process import ServerProcess, free_ports
from device_worker.trial.side_by_side import connect, lanes_of, run_side_by_side
from endpoint_fakes import fake_http, fake_lines, loaded

pytest.importorskip("numpy")

READY = {"/v2": {"name": "fake", "version": "1"}, "/v2/models/m/ready": {}}
TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}


def fake_server(paths):
    known = {path: (200, document) for path, document in READY.items()}
    known["/v2/models/m"] = (200, {"platform": "none", "inputs": [TENSOR]})
    return fake_http(dict(known, **paths))


def assert_fails(call, words):
    with pytest.raises(RequestFailed, match=words):
        call()


def refuse(folder, url, words):
    with pytest.raises(LoadFailure, match=words), loaded("kserve-v2", folder, url):
        pass


def infer(status, document):
    return {"/v2/models/m/infer": (status, document)}


def test_a_request_has_every_input_and_the_answer_is_read_by_its_shape(tmp_path):
    import numpy

    output = {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}
    with fake_server(infer(200, {"outputs": [output]})) as url, loaded("kserve-v2", tmp_path, url) as model:
        model.set_inputs(model.encode_inputs([numpy.array([[0.5, 0.25]])]))
        model.invoke()
        (found,) = model.get_outputs()
    assert json.loads(model.body.decode("ascii")) == {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.25]}]
    }
    assert (found.tolist(), list(model.output_names)) == ([[1.0, 2.0, 3.0]], ["y"])
    assert model.identity()["name"] == "fake"


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (503, {"error": "the queue is full"}, "HTTP 503: the queue is full"),
        (500, b"<html>oops</html>", "HTTP 500: <html>oops</html>"),
        (204, b"", "HTTP 204: an empty answer"),
    ],
)
def test_an_answer_that_is_an_error_is_raised_and_never_timed(tmp_path, status, document, words):
    with fake_server(infer(status, document)) as url, loaded("kserve-v2", tmp_path, url) as model:
        assert_fails(model.invoke, words)


@pytest.mark.parametrize("document", [b"[]", b"{", {"outputs": []}, {"outputs": [{"name": "y", "datatype": "BYTES"}]}])
def test_an_answer_without_outputs_is_no_result(tmp_path, document):
    with fake_server(infer(200, document)) as url, loaded("kserve-v2", tmp_path, url) as model:
        model.invoke()
        assert_fails(model.get_outputs, "m/infer|output 'y'")


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"inputs": []}, "describes no inputs"),
        ({"inputs": [dict(TENSOR, datatype="BYTES")]}, "'x' is a BYTES"),
        ({"inputs": [dict(TENSOR, shape=[-1, -1])]}, "open sizes"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused_before_it_is(tmp_path, described, words):
    with fake_server({"/v2/models/m": (200, described)}) as url:
        refuse(tmp_path, url, words)


def test_a_server_that_is_not_there_is_named_with_what_to_do(tmp_path):
    url = f"http://127.0.0.1:{free_ports()[0]}"
    refuse(tmp_path, url, f"{url} has no model 'm' that is ready .*; start the server, or")


def test_a_started_server_that_ends_or_takes_too_long_is_told_with_its_last_words(tmp_path):
    ends = ServerProcess([sys.executable, "-c", "import sys; sys.exit('no model here')"], str(tmp_path), {})
    with pytest.raises(LoadFailure, match="ended with exit code 1 before it was ready: no model here"):
        ends.wait_until_ready(lambda: "not yet", 10)
    idle = ServerProcess([sys.executable, "-c", "input()"], str(tmp_path), {})
    waits = ServerProcess([sys.executable, "-c", "import time; time.sleep(60)"], str(tmp_path), {})
    with pytest.raises(LoadFailure, match=r"not ready within 0.1 s \(serve.ready_s_max\); asked last, not yet"):
        waits.wait_until_ready(lambda: "not yet", 0.1)
    waits.end()
    assert waits._process.returncode == -15
    with pytest.raises(LoadFailure, match="cannot be started: no-such-program"):
        ServerProcess(["no-such-program"], str(tmp_path), {})
    idle._process.wait(10)
    idle.end()  # of a server that is gone already


CHUNK = b"186a0\r\n" + b" " * 100000 + b"\r\n"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"Content-Length: 268435457\r\n\r\n", "/long: the answer has 268435457 bytes, and at most 256 MiB are read"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + 4 * CHUNK, "/long: the answer has more than 3[0-9]+ bytes"),
        (b"\r\n" + 400000 * b" ", "/long: the answer has more than 3[0-9]+ bytes"),
    ],
)
def test_an_answer_that_fills_the_memory_is_not_read(monkeypatch, head, words):
    if not head.startswith(b"Content"):
        monkeypatch.setattr(http_connection, "ANSWER_BYTES_MAX", 300000)
    with fake_lines(b"HTTP/1.1 200 OK\r\n" + head) as url:
        connection = HttpConnection(url, timeout_s=10.0)
        assert_fails(lambda: connection.ask("/long", b"{}"), words)
        connection.close()


def test_an_answer_in_pieces_is_read_whole():
    with fake_lines(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 2 * CHUNK + b"0\r\n\r\n") as url:
        connection = HttpConnection(url, timeout_s=10.0)
        assert connection.ask("/", b"{}") == b" " * 200000
        connection.close()


def rule(**fields):
    document = {
        "warmup_runs_min": 0,
        "warmup_seconds_min": 0.0,
        "runs_min": 40,
        "seconds_min": 0.0,
        "seconds_max": 20.0,
        "runs_max": 1000,
    }
    return MeasureRule(Fields(dict(document, **fields), "measure"))


def run(lanes, measure):
    connect(lanes)
    return run_side_by_side(lanes, measure, StopRule.of_measurement(measure), seed=3)


def test_a_query_of_several_streams_ends_with_its_last_answer():
    meeting = threading.Barrier(4)  # broken if the four of a query are not sent side by side
    connecting = iter(range(4))  # the first request of each lane is alone

    def lane():
        if next(connecting, None) is None:
            meeting.wait(10)

    measure = rule(scenario="multi-stream", streams=4, runs_min=5)
    assert lanes_of(measure, {}) == 4
    found = run([lane] * 4, measure)
    assert (len(found.latencies), len(found.timing.samples)) == (5, 20)


def test_latency_counts_from_the_scheduled_arrival_however_late_a_connection_is_free():
    """One connection that needs far longer than the time between arrivals: every query waits for those before."""
    measure = rule(scenario="server", rate_per_s=100000.0)
    assert (lanes_of(measure, {}), lanes_of(measure, {"connections": 3})) == (16, 3)

    def lane():
        until = perf_counter_ns() + 1000000
        while perf_counter_ns() < until:
            pass

    found = run([lane], measure)
    assert len(found.latencies) == 40
    times = poisson_arrivals(measure.rate_per_s, 3)
    due = [next(times) for _ in range(40)][-1]
    # The last one has waited for all others, while its own request took about a millisecond.
    assert found.latencies[-1] >= sum(found.timing.samples) - due > 30000000
    assert list(found.latencies) == sorted(found.latencies)


@pytest.mark.parametrize(
    "fields", [{"scenario": "server", "rate_per_s": 1000.0}, {"scenario": "multi-stream", "streams": 2}]
)
def test_an_error_of_one_connection_ends_the_measurement(fields):
    asked = iter(range(1000))

    def lane():
        if next(asked) > 20:
            raise RequestFailed("HTTP 503: the queue is full")

    with pytest.raises(RequestFailed, match="the queue is full"):
        run([lane, lane], rule(**fields))


def test_a_connection_says_where_it_was_lost():
    url = f"http://127.0.0.1:{free_ports()[0]}/below"
    with pytest.raises(RequestFailed, match=f"{url}/infer: .*refused"):
        HttpConnection(url, 1.0).ask("/infer", b"{}")
