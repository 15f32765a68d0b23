"""Ask a server by the Open Inference Protocol (KServe v2), in JSON over HTTP: Triton, MLServer, KServe and others."""

from __future__ import annotations

import json
from urllib.parse import quote

from device_worker.trial.declared import batched_shape
from device_worker.trial.http_connection import RequestFailed, parse_object
from device_worker.trial.runtimes.base import InputSlot, LoadFailure
from device_worker.trial.runtimes.endpoint import EndpointRuntime, RestModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial.http_connection import HttpConnection

_DTYPES = {
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


class KserveRuntime(EndpointRuntime):
    """A server of the Open Inference Protocol."""

    engine = "kserve-v2"

    def _model_path_on_server(self) -> str:
        version = self._endpoint.version
        below = f"/versions/{quote(version, safe='')}" if version else ""
        return f"/v2/models/{quote(self._endpoint.model, safe='')}{below}"

    def _ready_path(self) -> str:
        return self._model_path_on_server() + "/ready"

    def _open_model(self, connection: HttpConnection) -> KserveModel:
        path = self._model_path_on_server()
        server, model = connection.get("/v2"), connection.get(path)
        told = {
            "name": str(server.get("name")),
            "version": str(server.get("version")),
            "protocol": "kserve-v2",
            "transport": "REST",
            "model": self._endpoint.model,
            "platform": str(model.get("platform")),
        }
        inputs = [self._slot(given) for given in _tensors(model, "inputs")]
        if not inputs:
            raise LoadFailure(f"{connection.url}{path} describes no inputs; the server must declare them")
        names = {slot.name: str(given["datatype"]) for slot, given in zip(inputs, _tensors(model, "inputs"))}
        return KserveModel(connection, path + "/infer", inputs, told, names)

    def _slot(self, given: dict[str, Any]) -> InputSlot:
        name, datatype, shape = str(given.get("name")), given.get("datatype"), given.get("shape")
        if datatype not in _DTYPES:
            raise LoadFailure(f"input {name!r} is a {datatype}, and this client writes numbers alone")
        if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
            raise LoadFailure(f"input {name!r} has no shape; the server must declare it")
        sizes = [None if size < 0 else size for size in shape]
        settled = batched_shape(name, sizes, self._declared, self._batch, can_resize=False)
        return InputSlot(name, settled, _DTYPES[datatype], batch=self._batch or 1)


class KserveModel(RestModel):
    """A model behind the Open Inference Protocol."""

    def __init__(
        self,
        connection: HttpConnection,
        path: str,
        inputs: list[InputSlot],
        told: dict[str, Any],
        names: dict[str, str],
    ) -> None:
        super().__init__(connection, path, inputs, told)
        self._datatypes = names

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request with the elements of each input in one row, as the protocol prefers."""
        inputs = [
            {
                "name": slot.name,
                "datatype": self._datatypes[slot.name],
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
            name, datatype = str(output.get("name")), output.get("datatype")
            if datatype not in _DTYPES:
                raise RequestFailed(f"output {name!r} is a {datatype}, and this client reads numbers alone")
            try:
                data = numpy.asarray(output["data"], dtype=_DTYPES[datatype]).reshape(output["shape"])
            except (KeyError, TypeError, ValueError) as error:
                raise RequestFailed(f"output {name!r} cannot be read: {error}") from error
            found.append((name, data))
        if not found:
            raise RequestFailed(f"{self.path}: the answer has no outputs")
        return found


def _tensors(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
