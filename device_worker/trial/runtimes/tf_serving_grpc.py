"""Ask TensorFlow Serving over gRPC.

Numbers of fields are those of predict.proto, model.proto, get_model_metadata.proto and get_model_status.proto of
TensorFlow Serving, and of tensor.proto, tensor_shape.proto and meta_graph.proto of TensorFlow.
"""

from __future__ import annotations

from device_worker.trial.connection import ANSWER_BYTES_MAX, RequestFailed
from device_worker.trial.runtimes.endpoint import ServedModel, shaped
from device_worker.trial.runtimes.grpc_endpoint import GrpcRuntime, from_bytes
from device_worker.trial.runtimes.tf_serving import DTYPES, SIGNATURE, required_signature, slot_of, told_of
from device_worker.trial.wire import Message, data, number, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial.connection import Connection
    from device_worker.trial.runtimes.base import InputSlot

_PREDICTION = "/tensorflow.serving.PredictionService/"
_PREDICT = _PREDICTION + "Predict"
_METADATA = _PREDICTION + "GetModelMetadata"
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
_AVAILABLE = 30
_SIGNATURES = "signature_def"
_NUMBERS = {dtype: code for code, dtype in DTYPES.values()}
_DTYPES = dict(DTYPES.values())
_VALUES = {
    "float32": 5,
    "float64": 6,
    "int32": 7,
    "int16": 7,
    "int8": 7,
    "uint8": 7,
    "uint16": 7,
    "int64": 10,
    "bool": 11,
    "float16": 13,
    "uint32": 16,
    "uint64": 17,
}
"""The field of TensorProto for each dtype, where the numbers do not come as bytes."""


class TensorflowServingGrpcRuntime(GrpcRuntime):
    """A server of TensorFlow Serving's gRPC services."""

    engine = "tf-serving-grpc"

    def _spec(self, signature: str = "") -> bytes:
        """Return the field ModelSpec of a request: name, version or label, signature."""
        version = self._endpoint.version or ""
        chosen = b""
        if version:
            chosen = data(2, number(1, int(version))) if version.isdigit() else text(4, version)
        return data(1, text(1, self._endpoint.model) + chosen + (text(3, signature) if signature else b""))

    def _why_unready(self) -> str | None:
        try:
            found = Message(self._channel.ask(_STATUS, self._spec())).messages(1)
        except RequestFailed as error:
            return str(error)
        is_ready = any(one.number(2) == _AVAILABLE for one in found)
        return None if is_ready else f"{self._channel.url}{_STATUS}: no version of the model is available"

    def _describe(self) -> TensorflowServingGrpcModel:
        answer = Message(self._channel.ask(_METADATA, self._spec() + text(2, _SIGNATURES)))
        signatures = answer.by_key(2).get(_SIGNATURES, Message(b"")).message(2).by_key(1)
        name = self._endpoint.signature or SIGNATURE
        signature = signatures[required_signature(name, signatures, self._channel.url + _METADATA)]
        inputs = [
            slot_of(key, _DTYPES.get(given.number(2)), _sizes(given.message(3)), self._declared, self._batch)
            for key, given in sorted(signature.by_key(1).items())
        ]
        version = answer.message(1).message(2).number(1)
        told = told_of(self.engine, "gRPC", self._endpoint.model, name, version or None)
        return TensorflowServingGrpcModel(self._channel, inputs, told, self._spec(name))


class TensorflowServingGrpcModel(ServedModel):
    """A model behind TensorFlow Serving's gRPC services. `spec` is the field that names the model."""

    def __init__(self, connection: Connection, inputs: list[InputSlot], told: dict[str, Any], spec: bytes) -> None:
        super().__init__(connection, _PREDICT, inputs, told)
        self._spec = spec

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request with the numbers of each input as bytes."""
        entries = [
            data(2, text(1, slot.name) + data(2, _tensor(value, slot.dtype)))
            for slot, value in zip(self.inputs, encoded)
        ]
        return b"".join((self._spec, *entries))

    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer, by name, since a map has no order."""
        import numpy

        outputs = Message(answer).by_key(1)
        if not outputs:
            raise RequestFailed(f"{self.path}: the answer has no outputs")
        return [(name, _array(numpy, name, tensor)) for name, tensor in sorted(outputs.items())]


def _tensor(value: Any, dtype: str) -> bytes:
    shape = b"".join(data(2, number(1, size)) for size in value.shape)
    content = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return number(1, _NUMBERS[dtype]) + data(2, shape) + data(4, content)


def _array(numpy: Any, name: str, tensor: Message) -> Any:
    dtype = _DTYPES.get(tensor.number(1))
    if dtype is None:
        raise RequestFailed(f"output {name!r} is no numbers, and this client reads numbers alone")
    shape = _sizes(tensor.message(2)) or []
    values = _values(numpy, name, tensor, dtype)
    count = 1
    for size in shape:
        count *= size
    if count * numpy.dtype(dtype).itemsize > ANSWER_BYTES_MAX:  # a short message may stand for very many numbers
        raise RequestFailed(f"output {name!r} cannot be read: its shape is of {count} numbers, beyond 256 MiB")
    if 0 < len(values) < count:  # the last value stands for all others, as in a constant
        values = numpy.concatenate([values, numpy.repeat(values[-1:], count - len(values))])
    return shaped(numpy, name, values, dtype, shape)


def _values(numpy: Any, name: str, tensor: Message, dtype: str) -> Any:
    """Return the numbers of a tensor in one row, in whichever form the server wrote them."""
    content = tensor.row(4)
    if content:
        return from_bytes(numpy, name, content, dtype)
    field = _VALUES[dtype]
    if dtype in ("float32", "float64"):
        return from_bytes(numpy, name, tensor.row(field), dtype)
    values = tensor.numbers(field)
    if dtype == "float16":  # as the bits of each number
        return shaped(numpy, name, values, "uint16", -1).view("float16")
    return shaped(numpy, name, values, dtype, -1)


def _sizes(shape: Message) -> list[int] | None:
    """Return sizes, negative where open, or None for a tensor of unknown rank."""
    return None if shape.number(3) else [one.number(1) for one in shape.messages(2)]
