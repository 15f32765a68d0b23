"""TensorFlow Serving, KServe over gRPC, and templates: what each client writes, reads and refuses.

Real servers are in tests/system.
"""

import json
import struct

import pytest

from device_worker.trial.connection import RequestFailed
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.server_process import free_ports
from device_worker.trial.wire import Message, data, number, numbers, text
from endpoint_fakes import fake_grpc, fake_http, far_away, loaded, stats_of

numpy = pytest.importorskip("numpy")

X = [[0.5, 0.25]]


def answered(model, values=X):
    """Return names and values of the outputs for values of the only input."""
    model.set_inputs(model.encode_inputs([numpy.array(values)]))
    model.invoke()
    outputs = model.decode_outputs(model.get_outputs())
    return [(name, output.tolist()) for name, output in zip(model.output_names, outputs)]


def refuse(words, engine, folder, url, **further):
    with pytest.raises(LoadFailure, match=words), loaded(engine, folder, url, **further):
        pass


def fail(words, model):
    with pytest.raises(RequestFailed, match=words):
        answered(model)


def spec(*sizes, dtype="DT_FLOAT"):
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False}}


def tf_server(predict=(200, {"outputs": [[1, 2, 3]]}), state="AVAILABLE", inputs=None, outputs=None, asked=None):
    signature = {"inputs": inputs or {"x": spec(-1, 2)}, "outputs": outputs or {"y": spec(-1, 3)}}
    described = {
        "model_spec": {"name": "m", "version": "4"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }
    paths = {
        "/v1/models/m": (200, {"model_version_status": [{"version": "4", "state": state}]}),
        "/v1/models/m/metadata": (200, described),
        "/v1/models/m:predict": predict,
    }
    return fake_http(paths, asked)


def test_tensorflow_serving_is_asked_by_columns_and_its_only_output_has_no_name(tmp_path):
    asked = []
    with tf_server(asked=asked) as url, loaded("tf-serving", tmp_path, url) as model:
        assert answered(model) == [("y", [[1.0, 2.0, 3.0]])]
        assert model.identity()["model_version"] == "4"
    (body,) = [json.loads(body) for method, _, body in asked if method == "POST"]
    assert body == {"signature_name": "serving_default", "inputs": {"x": X}}


def test_several_outputs_of_tensorflow_serving_are_read_by_name(tmp_path):
    outputs = {"b": spec(-1), "a": spec(-1, 1)}
    predict = (200, {"outputs": {"b": [7], "a": [[8]]}})
    with tf_server(predict, outputs=outputs) as url, loaded("tf-serving", tmp_path, url) as model:
        assert answered(model) == [("a", [[8.0]]), ("b", [7.0])]


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        ((404, {"error": "Servable not found for request: Latest(m)"}), "HTTP 404: Servable not found"),
        ((200, {"predictions": []}), "no outputs"),
        ((200, b"{"), "no JSON object"),
        ((200, {"outputs": [[1], [2, 3]]}), "output 'y' cannot be read"),
        ((200, {"outputs": [["one"]]}), "output 'y' cannot be read"),
    ],
)
def test_what_is_no_result_of_tensorflow_serving_is_told(tmp_path, predict, words):
    with tf_server(predict) as url, loaded("tf-serving", tmp_path, url) as model:
        fail(words, model)


def test_a_model_that_tensorflow_serving_cannot_be_asked_for_is_refused(tmp_path):
    with tf_server(state="LOADING") as url:
        refuse(
            r"no model 'm' that is ready \(.*the model is LOADING\); start the server, or", "tf-serving", tmp_path, url
        )
    with tf_server() as url:
        words = "has no signature 'other'; name one of its own under `signature`: serving_default"
        refuse(words, "tf-serving", tmp_path, url, endpoint={"signature": "other"})
        refuse("HTTP 404: no such path", "tf-serving", tmp_path, url, endpoint={"version": "9"})
    with tf_server(inputs={"x": spec(-1, dtype="DT_STRING")}) as url:
        refuse("'x' is no numbers", "tf-serving", tmp_path, url)
    with tf_server(inputs={"x": {"dtype": "DT_FLOAT", "tensor_shape": {"unknown_rank": True}}}) as url:
        refuse("'x' has no shape", "tf-serving", tmp_path, url)


TEMPLATE = {
    "method": "PUT",
    "path": "/predict?raw=1",
    "ready_path": "/health",
    "body": '{"rows": ${input}, "again": [${input}]}',
    "outputs": {"scores": "/result/0/a~1b", "whole": "/n"},
}
DECLARED = {"low": 0.0, "high": 1.0, "shape": [1, 2], "dtype": "float32"}


def test_a_template_says_how_a_request_is_written_and_where_outputs_stand(tmp_path):
    asked = []
    paths = {"/health": (200, {}), "/predict?raw=1": (200, {"result": [{"a/b": [[1, 2]]}], "n": 3})}
    with fake_http(paths, asked) as url:
        with loaded("http", tmp_path, url, endpoint={"template": TEMPLATE}, input=DECLARED) as model:
            assert answered(model) == [("scores", [[1.0, 2.0]]), ("whole", 3.0)]
        settings = {"settings": {"batch": 2}, "input": DECLARED}
        with loaded("http", tmp_path, url, endpoint={"template": TEMPLATE}, **settings) as model:
            answered(model, [[1, 2], [3, 4]])
    bodies = [json.loads(body) for method, _, body in asked if method == "PUT"]
    assert bodies == [
        {"rows": X, "again": [X]},
        {"rows": [[1.0, 2.0], [3.0, 4.0]], "again": [[[1.0, 2.0], [3.0, 4.0]]]},
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {"result": []}), "no /result/0/a~1b, where output 'scores' should stand"),
        ((200, b"fine"), "the answer is no JSON: fine"),
        ((200, {"result": [{"a/b": {}}], "n": 1}), "output 'scores' cannot be read"),
        ((500, {"detail": "no"}), 'HTTP 500: {"detail": "no"}'),
    ],
)
def test_an_answer_that_a_template_does_not_fit_is_told(tmp_path, answer, words):
    further = {"endpoint": {"template": TEMPLATE}, "input": DECLARED}
    paths = {"/health": (200, {}), "/predict?raw=1": answer}
    with fake_http(paths) as url, loaded("http", tmp_path, url, **further) as model:
        fail(words, model)


def test_an_input_that_nobody_describes_is_refused(tmp_path):
    with fake_http({"/health": (200, {})}) as url:
        for body, words in (("${input}", "no shape or no dtype of input 'input'"), ("${y}", "asks for an input 'y'")):
            refuse(words, "http", tmp_path, url, endpoint={"template": dict(TEMPLATE, body=body)})


FLOATS = struct.pack("<3f", 1, 2, 3)
TENSOR = text(1, "x") + text(2, "FP32") + numbers(3, [-1, 2])
KSERVE = "/inference.GRPCInferenceService/"


def kserve_answers(infer=b""):
    return {
        KSERVE + "ServerMetadata": text(1, "fake") + text(2, "1"),
        KSERVE + "ModelReady": number(1, 1),
        KSERVE + "ModelMetadata": data(4, TENSOR),
        KSERVE + "ModelInfer": infer,
    }


def output_of(datatype, *shape, contents=b""):
    return data(5, text(1, "y") + text(2, datatype) + numbers(3, shape) + contents)


@pytest.fixture(scope="session")
def grpc():
    return pytest.importorskip("grpc")


@pytest.mark.parametrize(
    ("infer", "values"),
    [
        (output_of("FP32", 1, 3) + data(6, FLOATS), [[1.0, 2.0, 3.0]]),
        (output_of("FP32", 1, 3, contents=data(5, data(6, FLOATS))), [[1.0, 2.0, 3.0]]),
        (output_of("INT8", 2, contents=data(5, numbers(2, [-1, 7]))), [-1.0, 7.0]),
        (output_of("UINT64", 1, contents=data(5, numbers(5, [3]))), [3.0]),
    ],
)
def test_kserve_over_grpc_reads_outputs_in_either_form(tmp_path, grpc, infer, values):
    asked = []
    with fake_grpc(grpc, kserve_answers(infer), asked) as url, loaded("kserve-v2-grpc", tmp_path, url) as model:
        assert answered(model) == [("y", values)]
        assert model.identity()["name"] == "fake"
        for lane in model.lanes(2):
            lane()
    request = Message(asked[-1][1])
    (sent,) = request.messages(5)
    assert (request.text(1), sent.text(1), sent.text(2), sent.numbers(3)) == ("m", "x", "FP32", [1, 2])
    assert request.data(7) == [struct.pack("<2f", 0.5, 0.25)]


@pytest.mark.parametrize(
    ("infer", "words"),
    [
        (("UNAVAILABLE", "the queue is full"), "gRPC UNAVAILABLE: the queue is full"),
        (("INVALID_ARGUMENT", "unexpected\nshape"), "gRPC INVALID_ARGUMENT: unexpected shape"),
        (b"", "has no outputs"),
        (b"\x0a\x09short", "no message of Protocol Buffers"),
        (output_of("FP32", 1, 3) + data(6, FLOATS) + data(6, FLOATS), "1 outputs, and contents of 2"),
        (output_of("FP32", 1, 4) + data(6, FLOATS), "output 'y' cannot be read"),
        (output_of("FP32", 3) + data(6, FLOATS[:-1]), "output 'y' cannot be read"),
        (output_of("INT8", 1, contents=data(5, numbers(2, [300]))), "output 'y' cannot be read"),
        (output_of("BYTES", 1), "output 'y' is a BYTES"),
    ],
)
def test_an_answer_over_grpc_that_is_no_result_is_told(tmp_path, grpc, infer, words):
    with fake_grpc(grpc, kserve_answers(infer)) as url, loaded("kserve-v2-grpc", tmp_path, url) as model:
        fail(words, model)


def test_a_server_of_grpc_may_be_far_away(tmp_path, grpc):
    near = fake_grpc(grpc, kserve_answers())
    with near as url, far_away(url, 0.2) as longer, loaded("kserve-v2-grpc", tmp_path, longer) as model:
        assert model.inputs


def test_a_server_of_grpc_that_has_not_the_model_is_told_with_its_words(tmp_path, grpc):
    with fake_grpc(grpc, dict(kserve_answers(), **{KSERVE + "ModelReady": ("NOT_FOUND", "no model m")})) as url:
        refuse("has no model 'm' that is ready .*gRPC NOT_FOUND: no model m", "kserve-v2-grpc", tmp_path, url)
    with fake_grpc(grpc, dict(kserve_answers(), **{KSERVE + "ModelReady": b""})) as url:
        refuse("the model is not ready", "kserve-v2-grpc", tmp_path, url)
    with fake_grpc(grpc, dict(kserve_answers(), **{KSERVE + "ModelMetadata": b""})) as url:
        refuse("describes no inputs", "kserve-v2-grpc", tmp_path, url)
    refuse("gRPC UNAVAILABLE", "kserve-v2-grpc", tmp_path, f"http://127.0.0.1:{free_ports()[0]}")


def stats_message(stats):
    fields = {"queue": 3, "compute_input": 4, "compute_infer": 5, "compute_output": 6, "cache_hit": 7, "cache_miss": 8}
    durations = [
        data(
            field, number(1, stats["inference_stats"][name]["count"]) + number(2, stats["inference_stats"][name]["ns"])
        )
        for name, field in fields.items()
    ]
    counts = number(4, stats["inference_count"]) + number(5, stats["execution_count"])
    return data(1, counts + data(6, b"".join(durations)))


def grown(before, after):
    return {metric: value if reason is None else reason for metric, value, reason in after.figures(before)}


def test_a_server_counts_its_own_work_between_two_moments(tmp_path, grpc):
    early, late = stats_of(10, 10), stats_of(50, 20, hits=10)
    wanted = {"server_queue_ns": 3.0, "server_compute_ns": 5.0, "server_batch_items": 3.0}
    wanted["server_cache_hit_ratio"] = 0.25
    paths = {"/v2": (200, {}), "/v2/models/m/ready": (200, {})}
    paths["/v2/models/m"] = (200, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]})
    with fake_http(paths) as url, loaded("kserve-v2", tmp_path, url) as model:
        unknown = model.server_counts()
        paths["/v2/models/m/stats"] = (200, {"model_stats": [early]})
        before = model.server_counts()
        paths["/v2/models/m/stats"] = (200, {"model_stats": [late]})
        assert grown(before, model.server_counts()) == wanted
        assert "HTTP 404: no such path" in grown(unknown, before)["server_queue_ns"]
        # All of them came out of the cache: nothing was computed.
        cached = dict(late, inference_stats=dict(late["inference_stats"], cache_hit={"count": 30, "ns": 30}))
        paths["/v2/models/m/stats"] = (200, {"model_stats": [cached]})
        assert grown(model.server_counts(), model.server_counts())["server_queue_ns"].startswith(
            "the server counted no"
        )
    answers = dict(kserve_answers(), **{KSERVE + "ModelStatistics": stats_message(early)})
    with fake_grpc(grpc, answers) as url, loaded("kserve-v2-grpc", tmp_path, url) as model:
        before = model.server_counts()
        answers[KSERVE + "ModelStatistics"] = stats_message(late)
        assert grown(before, model.server_counts()) == wanted


def test_statistics_that_say_nothing_are_a_reason(tmp_path):
    paths = {"/v2": (200, {}), "/v2/models/m/ready": (200, {}), "/v2/models/m/stats": (200, {"model_stats": [7, {}]})}
    paths["/v2/models/m"] = (200, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]})
    with fake_http(paths) as url, loaded("kserve-v2", tmp_path, url) as model:
        counts = model.server_counts()
        assert set(grown(counts, counts).values()) == {"the server's statistics do not name the model"}
    with tf_server() as url, loaded("tf-serving", tmp_path, url) as model:
        counts = model.server_counts()
        assert set(grown(counts, counts).values()) == {"the protocol has no statistics of the server"}


PREDICTION = "/tensorflow.serving.PredictionService/"


def info(dtype, *sizes):
    return number(2, dtype) + data(3, b"".join(data(2, number(1, size)) for size in sizes))


def entry(name, message):
    return text(1, name) + data(2, message)


def tf_answers(tensor):
    signature = data(1, entry("x", info(1, -1, 2)))
    packed = data(2, data(1, entry("serving_default", signature)))
    return {
        "/tensorflow.serving.ModelService/GetModelStatus": data(1, number(1, 4) + number(2, 30)),
        PREDICTION + "GetModelMetadata": data(1, data(2, number(1, 4))) + data(2, entry("signature_def", packed)),
        PREDICTION + "Predict": data(1, entry("y", tensor)),
    }


def tensor_of(dtype, sizes, values):
    return number(1, dtype) + data(2, b"".join(data(2, number(1, size)) for size in sizes)) + values


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (tensor_of(1, [1, 3], data(4, FLOATS)), [[1.0, 2.0, 3.0]]),
        (tensor_of(1, [3], data(5, FLOATS)), [1.0, 2.0, 3.0]),
        (tensor_of(1, [3], data(5, FLOATS[:4])), [1.0, 1.0, 1.0]),  # one value stands for all
        (tensor_of(9, [2], numbers(10, [-5, 1 << 40])), [-5.0, float(1 << 40)]),
        (tensor_of(19, [2], numbers(13, [0x3C00, 0xC000])), [1.0, -2.0]),
        (tensor_of(10, [2], numbers(11, [1, 0])), [1.0, 0.0]),
    ],
)
def test_tensorflow_serving_over_grpc_reads_outputs_in_every_form(tmp_path, grpc, tensor, values):
    asked = []
    version = {"version": "4"}
    with fake_grpc(grpc, tf_answers(tensor), asked) as url, loaded("tf-serving-grpc", tmp_path, url, version) as model:
        assert answered(model) == [("y", values)]
        assert model.identity()["model_version"] == "4"
    request = Message(asked[-1][1])
    named = request.message(1)
    assert (named.text(1), named.message(2).number(1), named.text(3)) == ("m", 4, "serving_default")
    sent = request.by_key(2)["x"]
    assert (sent.number(1), sent.data(4)) == (1, [struct.pack("<2f", 0.5, 0.25)])


def test_a_tensor_without_numbers_is_told(tmp_path, grpc):
    for tensor, words in ((tensor_of(7, [1], b""), "'y' is no numbers"), (tensor_of(1, [2], b""), "cannot be read")):
        with fake_grpc(grpc, tf_answers(tensor)) as url, loaded("tf-serving-grpc", tmp_path, url) as model:
            fail(words, model)


def test_a_short_message_that_stands_for_more_numbers_than_memory_holds_is_refused(tmp_path, grpc):
    tensor = tensor_of(1, [1 << 20, 1 << 20], data(5, FLOATS[:4]))
    with fake_grpc(grpc, tf_answers(tensor)) as url, loaded("tf-serving-grpc", tmp_path, url) as model:
        fail("output 'y' cannot be read: its shape is of 1099511627776 numbers, beyond 256 MiB", model)


def test_a_bundle_without_grpcio_is_told_with_what_to_do(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "grpc", None)
    refuse("name grpcio==VERSION among the packages of the endpoint", "kserve-v2-grpc", tmp_path, "http://127.0.0.1:9")
