"""Ask a server by the Open Inference Protocol (KServe v2) over gRPC: Triton, MLServer, KServe and others.

Numbers of fields are those of the protocol's grpc_predict_v2.proto.
"""

from __future__ import annotations

from device_worker.trial.connection import RequestFailed
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.runtimes.endpoint import ServedModel, shaped
from device_worker.trial.runtimes.grpc_endpoint import GrpcRuntime, from_bytes
from device_worker.trial.runtimes.kserve_v2 import datatype_of, dtype_of_output, slot_of, undescribed
from device_worker.trial.server_counts import ServerCounts
from device_worker.trial.wire import Message, data, numbers, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial.connection import Connection
    from device_worker.trial.runtimes.base import InputSlot

_SERVICE = "/inference.GRPCInferenceService/"
_INFER = _SERVICE + "ModelInfer"
_CONTENTS = {
    "bool": 1,
    "int8": 2,
    "int16": 2,
    "int32": 2,
    "int64": 3,
    "uint8": 4,
    "uint16": 4,
    "uint32": 4,
    "uint64": 5,
    "float32": 6,
    "float64": 7,
}
"""The field of InferTensorContents for each dtype. float16 comes as bytes alone."""


class KserveGrpcRuntime(GrpcRuntime):
    """A server of the Open Inference Protocol over gRPC."""

    engine = "kserve-v2-grpc"

    def _named(self) -> bytes:
        return text(1, self._endpoint.model) + text(2, self._endpoint.version or "")

    def _ask(self, method: str, body: bytes) -> Message:
        return Message(self._channel.ask(_SERVICE + method, body))

    def _why_unready(self) -> str | None:
        try:
            is_ready = self._ask("ModelReady", self._named()).number(1)
        except RequestFailed as error:
            return str(error)
        return None if is_ready else f"{self._channel.url}{_SERVICE}ModelReady: the model is not ready"

    def _describe(self) -> KserveGrpcModel:
        server, model = self._ask("ServerMetadata", b""), self._ask("ModelMetadata", self._named())
        told = {
            "name": server.text(1),
            "version": server.text(2),
            "protocol": self.engine,
            "transport": "gRPC",
            "model": self._endpoint.model,
            "platform": model.text(3),
        }
        given = [(one.text(1), one.text(2), one.numbers(3)) for one in model.messages(4)]
        if not given:
            raise LoadFailure(undescribed(f"{self._channel.url}{_SERVICE}ModelMetadata"))
        inputs = [slot_of(*one, self._declared, self._batch) for one in given]
        return KserveGrpcModel(self._channel, inputs, told, self._named())


class KserveGrpcModel(ServedModel):
    """A model behind the Open Inference Protocol over gRPC. `named` are the fields with the model's name.

    Statistics are Triton's extension of the protocol.
    """

    def __init__(self, connection: Connection, inputs: list[InputSlot], told: dict[str, Any], named: bytes) -> None:
        super().__init__(connection, _INFER, inputs, told)
        self._named = named

    def _counts(self) -> ServerCounts:
        return ServerCounts.of_message(Message(self._connection.ask(_SERVICE + "ModelStatistics", self._named)))

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request with the elements of each input as bytes, which is the quickest of the protocol's forms."""
        described = [
            data(5, text(1, slot.name) + text(2, datatype_of(slot)) + numbers(3, value.shape))
            for slot, value in zip(self.inputs, encoded)
        ]
        contents = [data(7, value.astype(value.dtype.newbyteorder("<")).tobytes()) for value in encoded]
        return b"".join((self._named, *described, *contents))

    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer."""
        import numpy

        message = Message(answer)
        outputs, raw = message.messages(5), message.data(6)
        if not outputs:
            raise RequestFailed(f"{self.path}: the answer has no outputs")
        if raw and len(raw) != len(outputs):
            raise RequestFailed(f"{self.path}: the answer has {len(outputs)} outputs, and contents of {len(raw)}")
        found = []
        for index, output in enumerate(outputs):
            name = output.text(1)
            dtype = dtype_of_output(name, output.text(2))
            values = raw[index] if raw else _contents(output.message(5), dtype)
            array = from_bytes(numpy, name, values, dtype) if isinstance(values, bytes) else values
            found.append((name, shaped(numpy, name, array, dtype, output.numbers(3))))
        return found


def _contents(contents: Message, dtype: str) -> bytes | list[int]:
    field = _CONTENTS.get(dtype, 0)
    return contents.row(field) if dtype.startswith("float") else contents.numbers(field)
