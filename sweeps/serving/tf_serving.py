"""Serve a SavedModel by the protocols of TensorFlow Serving, for sweeps/serving.yaml and docs/endpoints.md.

TensorFlow Serving itself is no package of Python; its messages are (tensorflow-serving-api). This server answers with
them over gRPC, and in the JSON of its REST API over HTTP, whichever BENCHFLEET_PROTOCOL asks for. `--model NAME` is the
name of the model.
"""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy
import tensorflow
from google.protobuf import json_format
from saved_model import SIGNATURE, SavedModel, sizes_of
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

VERSION = 1
CLIENTS_MAX = 64


class NotServed(Exception):
    """There is no such model, version or signature."""


class Served:
    """A SavedModel under a name, as both protocols see it."""

    def __init__(self, name):
        self.name = name
        self._model = SavedModel()
        self.inputs, self.outputs = self._model.inputs, self._model.outputs

    def check(self, name, version=None, signature=""):
        """Raise NotServed for another model, version or signature than the one that is here."""
        if name != self.name or version not in (None, VERSION):
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise NotServed(f"Servable not found for request: {which}")
        if signature not in ("", SIGNATURE):
            raise NotServed(f'Serving signature name: "{signature}" not found in signature def')

    def predict(self, arrays):
        """Return arrays of outputs by name. Raise ValueError for inputs that do not fit."""
        if set(arrays) != set(self.inputs):
            raise ValueError(f"expected the inputs {sorted(self.inputs)}, got {sorted(arrays)}")
        for name, array in arrays.items():
            wanted = self.inputs[name]
            if not wanted.shape.is_compatible_with(array.shape):
                raise ValueError(f"input {name} is {wanted.shape}, got {list(array.shape)}")
        return self._model.run(arrays)

    def signatures(self):
        """Return the message that describes inputs and outputs."""
        found = get_model_metadata_pb2.SignatureDefMap()
        signature = found.signature_def[SIGNATURE]
        signature.method_name = "tensorflow/serving/predict"
        for specs, described in ((self.inputs, signature.inputs), (self.outputs, signature.outputs)):
            for name, spec in specs.items():
                described[name].CopyFrom(_info(name, spec))
        return found

    def metadata(self):
        """Return the whole answer about the model."""
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = self.name
        answer.model_spec.version.value = VERSION
        answer.metadata["signature_def"].Pack(self.signatures())
        return answer

    def status(self):
        """Return the message that says that the model can be asked."""
        answer = get_model_status_pb2.GetModelStatusResponse()
        one = answer.model_version_status.add(version=VERSION, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE)
        one.status.error_code = 0
        return answer


def _info(name, spec):
    info = meta_graph_pb2.TensorInfo(name=name, dtype=spec.dtype.as_datatype_enum)
    for size in sizes_of(spec):
        info.tensor_shape.dim.add(size=size)
    return info


def _answered(handle):
    """Return a method of a service that turns our errors into statuses of gRPC."""

    def method(self, request, context):
        try:
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            self.served.check(spec.name, version, spec.signature_name)
            return handle(self, request)
        except NotServed as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    return method


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The service that runs the model."""

    def __init__(self, served):
        self.served = served

    @_answered
    def Predict(self, request):  # noqa: N802 the name is the protocol's
        """Run the model."""
        arrays = {name: tensorflow.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        answer = predict_pb2.PredictResponse()
        answer.model_spec.CopyFrom(request.model_spec)
        for name, array in self.served.predict(arrays).items():
            answer.outputs[name].CopyFrom(tensorflow.make_tensor_proto(array))
        return answer

    @_answered
    def GetModelMetadata(self, request):  # noqa: N802 the name is the protocol's
        """Describe the model."""
        return self.served.metadata()


class Status(model_service_pb2_grpc.ModelServiceServicer):
    """The service that says whether the model can be asked."""

    def __init__(self, served):
        self.served = served

    @_answered
    def GetModelStatus(self, request):  # noqa: N802 the name is the protocol's
        """Say that the model can be asked."""
        return self.served.status()


class Rest(BaseHTTPRequestHandler):
    """The REST API. `served` is set by a subclass."""

    protocol_version = "HTTP/1.1"
    # Head and body of an answer leave in one piece: the second one would wait for the client's word otherwise.
    wbufsize = -1
    disable_nagle_algorithm = True
    served = None

    def do_GET(self):
        """Describe the model, or say that it can be asked."""
        path, _, last = self.path.rpartition("/")
        is_metadata = last == "metadata"
        self._reply(path if is_metadata else self.path, self._describe if is_metadata else self._status)

    def do_POST(self):
        """Run the model."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, verb = self.path.rpartition(":")
        if verb != "predict":
            self._say(400, {"error": f"Malformed request: POST {self.path}"})
            return
        self._reply(path, lambda: self._predict(body))

    def _reply(self, path, handle):
        try:
            self.served.check(*_named(path))
            self._say(200, handle())
        except NotServed as error:
            self._say(404, {"error": str(error)})
        except (ValueError, TypeError, KeyError) as error:
            self._say(400, {"error": str(error)})

    def _status(self):
        return json_format.MessageToDict(self.served.status(), preserving_proto_field_name=True)

    def _describe(self):
        signatures = json_format.MessageToDict(self.served.signatures(), preserving_proto_field_name=True)
        spec = {"name": self.served.name, "signature_name": "", "version": str(VERSION)}
        return {"model_spec": spec, "metadata": {"signature_def": signatures}}

    def _predict(self, body):
        asked = json.loads(body)
        self.served.check(self.served.name, signature=asked.get("signature_name", ""))
        is_row = "instances" in asked
        given = _columns(asked["instances"], self.served.inputs) if is_row else asked["inputs"]
        if not isinstance(given, dict):
            given = dict.fromkeys(self.served.inputs, given)
        specs = self.served.inputs
        arrays = {
            name: numpy.asarray(value, specs[name].dtype.as_numpy_dtype if name in specs else None)
            for name, value in given.items()
        }
        outputs = {name: array.tolist() for name, array in self.served.predict(arrays).items()}
        if len(outputs) == 1:  # an only output comes without its name
            (outputs,) = outputs.values()
        elif is_row:
            outputs = [dict(zip(outputs, row)) for row in zip(*outputs.values())]
        return {"predictions" if is_row else "outputs": outputs}

    def _say(self, status, document):
        body = json.dumps(document).encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing: a line for each request would be load."""


def _named(path):
    """Return name and version of the model in /v1/models/NAME[/versions/N]."""
    words = path.split("/")
    if words[:3] != ["", "v1", "models"] or len(words) not in (4, 6):
        raise NotServed(f"Malformed request: {path}")
    is_numbered = len(words) == 6 and words[4] == "versions" and words[5].isdigit()
    if len(words) == 6 and not is_numbered:
        raise NotServed(f"Unrecognized servable version label: {words[-1]}")
    return words[3], int(words[5]) if is_numbered else None


def _columns(instances, inputs):
    """Return inputs by name of what a request says item by item."""
    if instances and isinstance(instances[0], dict):
        return {name: [one[name] for one in instances] for name in instances[0]}
    return dict.fromkeys(inputs, instances)


def main():
    port = int(os.environ["BENCHFLEET_PORT"])
    served = Served(sys.argv[sys.argv.index("--model") + 1])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ["BENCHFLEET_PROTOCOL"] == "tf-serving-grpc":
        server = grpc.server(ThreadPoolExecutor(CLIENTS_MAX))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(served), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(served), server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        server.wait_for_termination()
    else:
        handler = type("Handler", (Rest,), {"served": served})
        ThreadingHTTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    main()
