"""Ask TensorFlow Serving in JSON over HTTP."""

from __future__ import annotations

import json
from urllib.parse import quote

from device_worker.trial.connection import RequestFailed
from device_worker.trial.declared import batched_shape
from device_worker.trial.http_connection import HttpConnection, parse_object
from device_worker.trial.runtimes.base import InputSlot, LoadFailure
from device_worker.trial.runtimes.endpoint import EndpointRuntime, ServedModel, shaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

    from device_worker.protocol.declarations import DeclaredInputs
    from device_worker.trial.connection import Connection

SIGNATURE = "serving_default"
"""The signature that is asked where the sweep names none."""

DTYPES = {
    "DT_FLOAT": (1, "float32"),
    "DT_DOUBLE": (2, "float64"),
    "DT_INT32": (3, "int32"),
    "DT_UINT8": (4, "uint8"),
    "DT_INT16": (5, "int16"),
    "DT_INT8": (6, "int8"),
    "DT_INT64": (9, "int64"),
    "DT_BOOL": (10, "bool"),
    "DT_UINT16": (17, "uint16"),
    "DT_HALF": (19, "float16"),
    "DT_UINT32": (22, "uint32"),
    "DT_UINT64": (23, "uint64"),
}
"""Number and dtype of numpy for each data type of TensorFlow that is numbers (types.proto)."""

_AVAILABLE = "AVAILABLE"


class TensorflowServingRuntime(EndpointRuntime):
    """A server of TensorFlow Serving's REST API."""

    engine = "tf-serving"
    _http: HttpConnection

    def _open(self, url: str) -> Connection:
        self._http = HttpConnection(url)
        return self._http

    def _path(self) -> str:
        version = self._endpoint.version or ""
        kind = "versions" if version.isdigit() else "labels"
        below = f"/{kind}/{quote(version, safe='')}" if version else ""
        return f"/v1/models/{quote(self._endpoint.model, safe='')}{below}"

    def _why_unready(self) -> str | None:
        path = self._path()
        try:
            states = [str(one.get("state")) for one in _objects(self._http.get(path).get("model_version_status"))]
        except RequestFailed as error:
            return str(error)
        return (
            None if _AVAILABLE in states else f"{self._http.url}{path}: the model is {' and '.join(states) or 'absent'}"
        )

    def _describe(self) -> TensorflowServingModel:
        place = self._path() + "/metadata"
        answer = self._http.get(place)
        signatures = _inside(answer, "metadata", "signature_def", "signature_def")
        name = self._endpoint.signature or SIGNATURE
        signature = _inside(signatures, required_signature(name, signatures, self._http.url + place))
        inputs = [
            slot_of(key, _dtype(given), _sizes(given), self._declared, self._batch)
            for key, given in sorted(_inside(signature, "inputs").items())
        ]
        outputs = {key: _dtype(given) for key, given in sorted(_inside(signature, "outputs").items())}
        told = told_of(self.engine, "REST", self._endpoint.model, name, _inside(answer, "model_spec").get("version"))
        return TensorflowServingModel(self._http, self._path() + ":predict", inputs, told, outputs)


class TensorflowServingModel(ServedModel):
    """A model behind TensorFlow Serving's REST API. `outputs` maps names to dtypes, None for what is no numbers."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        inputs: list[InputSlot],
        told: dict[str, Any],
        outputs: Mapping[str, str | None],
    ) -> None:
        super().__init__(connection, path, inputs, told)
        self._outputs = outputs

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request in the columnar form, which takes inputs of any sizes."""
        inputs = {slot.name: value.tolist() for slot, value in zip(self.inputs, encoded)}
        document = {"signature_name": self._told["signature"], "inputs": inputs}
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer."""
        import numpy

        document = parse_object(answer, self.path)
        if "outputs" not in document:
            raise RequestFailed(f"{self.path}: the answer has no outputs")
        found = document["outputs"]
        # An only output comes without its name.
        named = {name: found for name in self._outputs} if len(self._outputs) == 1 else found
        if not isinstance(named, dict) or set(named) != set(self._outputs):
            raise RequestFailed(f"{self.path}: the answer has other outputs than {', '.join(self._outputs)}")
        return [(name, _array(numpy, name, named[name], dtype)) for name, dtype in self._outputs.items()]


def slot_of(
    name: str, dtype: str | None, sizes: list[int] | None, declared: DeclaredInputs, batch: int | None
) -> InputSlot:
    """Return an input as TensorFlow Serving describes it. Raise LoadFailure for one that cannot be written."""
    if dtype is None:
        raise LoadFailure(f"input {name!r} is no numbers, and this client writes numbers alone")
    if sizes is None:
        raise LoadFailure(f"input {name!r} has no shape; export the model with one")
    settled = batched_shape(name, [None if size < 0 else size for size in sizes], declared, batch, can_resize=False)
    return InputSlot(name, settled, dtype, batch=batch or 1)


def required_signature(name: str, known: Iterable[str], place: str) -> str:
    """Return the name of a signature that the model has. Raise LoadFailure for another one."""
    names = sorted(known)
    if name not in names:
        raise LoadFailure(
            f"{place}: the model has no signature {name!r}; name one of its own under `signature`: "
            f"{', '.join(names) or 'it has none'}"
        )
    return name


def told_of(protocol: str, transport: str, model: str, signature: str, version: object) -> dict[str, Any]:
    """Return the identity of a server that tells neither its name nor its own version."""
    told = {"name": None, "version": None, "protocol": protocol, "transport": transport, "model": model}
    return dict(told, signature=signature, model_version=None if version is None else str(version))


def _array(numpy: Any, name: str, values: Any, dtype: str | None) -> Any:
    if dtype is None:
        raise RequestFailed(f"output {name!r} is no numbers, and this client reads numbers alone")
    array = shaped(numpy, name, values, dtype, -1)
    return shaped(numpy, name, array, dtype, numpy.shape(values))


def _dtype(given: object) -> str | None:
    name = given.get("dtype") if isinstance(given, dict) else None
    return DTYPES[name][1] if isinstance(name, str) and name in DTYPES else None


def _sizes(given: object) -> list[int] | None:
    """Return sizes, negative where open, or None for a tensor of unknown rank."""
    shape = _inside(given, "tensor_shape")
    if not shape or shape.get("unknown_rank"):
        return None
    try:
        return [int(one.get("size", 0)) for one in _objects(shape.get("dim"))]
    except (TypeError, ValueError):
        return None


def _inside(document: object, *keys: str) -> dict[str, Any]:
    """Return the object at a place of a document, empty where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _objects(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
