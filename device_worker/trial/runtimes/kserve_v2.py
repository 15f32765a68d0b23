"""Ask a server by the Open Inference Protocol (KServe v2), in JSON over HTTP: Triton, MLServer, KServe and others."""

from __future__ import annotations

import json
from urllib.parse import quote

from device_worker.trial.connection import RequestFailed
from device_worker.trial.declared import batched_shape
from device_worker.trial.http_connection import HttpConnection, parse_object
from device_worker.trial.runtimes.base import InputSlot, LoadFailure
from device_worker.trial.runtimes.endpoint import EndpointRuntime, ServedModel, shaped
from device_worker.trial.server_counts import ServerCounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.declarations import DeclaredInputs
    from device_worker.trial.connection import Connection

DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
"""The dtype of numpy for each datatype of the protocol that is numbers."""


class KserveRuntime(EndpointRuntime):
    """A server of the Open Inference Protocol over HTTP."""

    engine = "kserve-v2"
    _http: HttpConnection

    def _open(self, url: str) -> Connection:
        self._http = HttpConnection(url)
        return self._http

    def _model_path_on_server(self) -> str:
        version = self._endpoint.version
        below = f"/versions/{quote(version, safe='')}" if version else ""
        return f"/v2/models/{quote(self._endpoint.model, safe='')}{below}"

    def _why_unready(self) -> str | None:
        return self._http.why_unready(self._model_path_on_server() + "/ready")

    def _describe(self) -> KserveModel:
        path = self._model_path_on_server()
        server, model = self._http.get("/v2"), self._http.get(path)
        told = {
            "name": str(server.get("name")),
            "version": str(server.get("version")),
            "protocol": self.engine,
            "transport": "REST",
            "model": self._endpoint.model,
            "platform": str(model.get("platform")),
        }
        given = [(str(one.get("name")), one.get("datatype"), one.get("shape")) for one in _tensors(model, "inputs")]
        if not given:
            raise LoadFailure(undescribed(self._http.url + path))
        inputs = [slot_of(*one, self._declared, self._batch) for one in given]
        return KserveModel(self._http, path, inputs, told)


class KserveModel(ServedModel):
    """A model behind the Open Inference Protocol over HTTP. Statistics are Triton's extension of the protocol."""

    def __init__(
        self, connection: HttpConnection, model_path: str, inputs: list[InputSlot], told: dict[str, Any]
    ) -> None:
        super().__init__(connection, model_path + "/infer", inputs, told)
        self._http = connection
        self._model_path = model_path

    def _counts(self) -> ServerCounts:
        return ServerCounts.of_json(self._http.get(self._model_path + "/stats"))

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request with the elements of each input in one row, as the protocol prefers."""
        inputs = [
            {
                "name": slot.name,
                "datatype": datatype_of(slot),
                "shape": list(value.shape),
                "data": value.reshape(-1).tolist(),
            }
            for slot, value in zip(self.inputs, encoded)
        ]
        return json.dumps({"inputs": inputs}, separators=(",", ":")).encode("ascii")

    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer."""
        import numpy

        found = []
        for output in _tensors(parse_object(answer, self.path), "outputs"):
            name, dtype = str(output.get("name")), dtype_of_output(str(output.get("name")), output.get("datatype"))
            found.append((name, shaped(numpy, name, output.get("data"), dtype, output.get("shape"))))
        if not found:
            raise RequestFailed(f"{self.path}: the answer has no outputs")
        return found


def slot_of(name: str, datatype: object, shape: object, declared: DeclaredInputs, batch: int | None) -> InputSlot:
    """Return an input as a server describes it. Raise LoadFailure for one that is no numbers, or has no shape."""
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise LoadFailure(f"input {name!r} is a {datatype}, and this client writes numbers alone")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise LoadFailure(f"input {name!r} has no shape; the server must declare it")
    sizes = [None if size < 0 else size for size in shape]
    settled = batched_shape(name, sizes, declared, batch, can_resize=False)
    return InputSlot(name, settled, DTYPES[datatype], batch=batch or 1)


def undescribed(place: str) -> str:
    """Return why a model without inputs cannot be asked."""
    return f"{place} describes no inputs; the server must declare them"


def datatype_of(slot: InputSlot) -> str:
    """Return the protocol's name of an input's dtype."""
    return next(datatype for datatype, dtype in DTYPES.items() if dtype == slot.dtype)


def dtype_of_output(name: str, datatype: object) -> str:
    """Return the dtype of an output. Raise RequestFailed for one that is no numbers."""
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise RequestFailed(f"output {name!r} is a {datatype}, and this client reads numbers alone")
    return DTYPES[datatype]


def _tensors(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
