"""Ask any server in JSON over HTTP: the sweep says how a request is written, and where the outputs stand."""

from __future__ import annotations

import json

from device_worker.trial.connection import RequestFailed
from device_worker.trial.declared import batched_shape
from device_worker.trial.http_connection import HttpConnection, parse_json
from device_worker.trial.runtimes.base import InputSlot, LoadFailure
from device_worker.trial.runtimes.endpoint import EndpointRuntime, ServedModel, shaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.declarations import DeclaredInputs, DeclaredTemplate
    from device_worker.trial.connection import Connection

ONLY_INPUT = "input"
"""The name of the input that model.yaml declares without a name."""


class HttpTemplateRuntime(EndpointRuntime):
    """A server that is asked as the endpoint's template says."""

    engine = "http"
    _http: HttpConnection

    def _open(self, url: str) -> Connection:
        self._http = HttpConnection(url, method=self._template().method)
        return self._http

    def _template(self) -> DeclaredTemplate:
        if self._endpoint.template is None:
            raise LoadFailure("the endpoint has no template to write requests by")
        return self._endpoint.template

    def _why_unready(self) -> str | None:
        return self._http.why_unready(self._template().ready_path)

    def _describe(self) -> HttpTemplateModel:
        template = self._template()
        inputs = [_slot_of(name, self._declared, self._batch) for name in template.inputs]
        told = {"name": None, "version": None, "protocol": self.engine, "transport": "REST"}
        return HttpTemplateModel(self._http, template, inputs, dict(told, model=self._endpoint.model))


class HttpTemplateModel(ServedModel):
    """A model behind a template. A request is the template's text with numbers in place of the names of inputs."""

    def __init__(
        self, connection: Connection, template: DeclaredTemplate, inputs: list[InputSlot], told: dict[str, Any]
    ) -> None:
        super().__init__(connection, template.path, inputs, told)
        self._template = template

    def write(self, encoded: list[Any]) -> bytes:
        """Return a request with the numbers of each input as nested lists."""
        written = {
            slot.name: json.dumps(value.tolist(), separators=(",", ":")) for slot, value in zip(self.inputs, encoded)
        }
        return self._template.filled(written).encode("utf-8")

    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer."""
        import numpy

        document = parse_json(answer, self.path)
        return [
            (name, _numbers(numpy, name, _found_at(document, pointer, name)))
            for name, pointer in self._template.outputs.items()
        ]


def _slot_of(name: str, declared: DeclaredInputs, batch: int | None) -> InputSlot:
    """Return an input as model.yaml declares it, since the server describes none."""
    if name not in declared.by_name and name != ONLY_INPUT:
        known = ", ".join(declared.by_name) or ONLY_INPUT
        raise LoadFailure(f"the template asks for an input {name!r}, and model.yaml declares {known}")
    found = declared.of(name)
    if found.shape is None or found.dtype is None:
        raise LoadFailure(f"model.yaml declares no shape or no dtype of input {name!r}, and the server describes none")
    sizes = [None, *found.shape[1:]] if len(found.shape) > 1 else list(found.shape)
    return InputSlot(name, batched_shape(name, sizes, declared, batch, can_resize=False), found.dtype, batch=batch or 1)


def _found_at(document: Any, pointer: str, name: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901). Raise RequestFailed where the answer has none."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise RequestFailed(f"the answer has no {pointer}, where output {name!r} should stand") from None
    return document


def _numbers(numpy: Any, name: str, value: Any) -> Any:
    # Ragged lists and text would become arrays of objects.
    array = shaped(numpy, name, value, "float64", -1)
    return shaped(numpy, name, array, "float64", numpy.shape(value))
