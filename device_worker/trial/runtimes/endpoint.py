"""Drive a model that a server has, over HTTP. Each protocol says how a request and an answer are written."""

from __future__ import annotations

import os
from abc import abstractmethod

from device_worker.trial.causes import describe
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.encoding import encode_plain
from device_worker.trial.http_connection import HttpConnection, RequestFailed
from device_worker.trial.runtimes.base import LoadedModel, LoadFailure, Runtime
from device_worker.trial.server_process import ServerProcess, free_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.runtimes.base import InputSlot

_REQUEST_S_MAX = 60.0
_JSON: Mapping[str, str] = {"Content-Type": "application/json"}
_UNCOUNTED = "a server does not tell where the nodes of its model run"


class EndpointRuntime(Runtime):
    """A server that the job names, or that the job starts. The module is numpy, which writes requests."""

    settings = frozenset(("threads", "cpus", "batch", "connections"))
    profile_absence = "a server does not tell the operators of its model apart"

    def __init__(self, job: TrialJob) -> None:
        super().__init__(job)
        if job.endpoint is None:
            raise LoadFailure("the job names no endpoint")
        self._endpoint = job.endpoint
        self._folder = job.files_dir
        self._command = _found_in(job.files_dir, job.command)
        self._server: ServerProcess | None = None
        self._connection: HttpConnection | None = None

    def _import(self, name: str) -> tuple[str, Any]:
        try:
            import numpy
        except ImportError as error:
            words = f"no numpy to write requests with ({describe(error)})"
            raise LoadFailure(f"{words}; name a package of the endpoint that brings it") from error
        return "numpy", numpy

    def load(self) -> LoadedModel:
        """Start the server if the job has a command, wait until the model is ready, and ask for its inputs."""
        try:
            self._connection = self._connect()
            return self._open_model(self._connection)
        except RequestFailed as error:
            raise LoadFailure(f"the server does not describe the model {self._endpoint.model!r}: {error}") from error

    def close(self) -> None:
        """Close the connection, and end the server that `load` has started."""
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.end()

    def _connect(self) -> HttpConnection:
        ready = self._ready_path()
        if not self._command:
            connection = HttpConnection(self._endpoint.url or "", _REQUEST_S_MAX)
            if not connection.is_ready(ready):
                raise LoadFailure(
                    f"{connection.url} has no model {self._endpoint.model!r} that is ready ({ready}); start the "
                    "server, or let the sweep start one (serve)"
                )
            return connection
        ports = free_ports()
        variables = {"BENCHFLEET_PORT": str(ports[0]), "BENCHFLEET_PORTS": " ".join(map(str, ports))}
        self._server = ServerProcess(self._command, self._folder, variables)
        connection = HttpConnection(f"http://127.0.0.1:{ports[0]}", _REQUEST_S_MAX)
        self._server.wait_until(lambda: connection.is_ready(ready), self._endpoint.ready_s_max)
        return connection

    @abstractmethod
    def _ready_path(self) -> str:
        """Return the path that answers with success once the model can be asked."""

    @abstractmethod
    def _open_model(self, connection: HttpConnection) -> LoadedModel:
        """Ask the server for the inputs of the model. Raise LoadFailure or RequestFailed."""


class Lane:
    """A connection of its own to a server. `answer` is the last answer."""

    __slots__ = ("_connection", "_model", "answer")

    def __init__(self, connection: HttpConnection, model: RestModel) -> None:
        self._connection = connection
        self._model = model
        self.answer = b""

    def send(self) -> None:
        """Send the model's request, and read the whole answer. Raise RequestFailed for an answer without a result."""
        model = self._model
        self.answer = self._connection.post(model.path, model.body, _JSON)


class RestModel(LoadedModel):
    """A model behind a connection. An invocation is a request, from the first byte sent to the last byte read."""

    allocate_reason = "the server allocates"
    memory_reason = "the model is in the server's process"

    def __init__(self, connection: HttpConnection, path: str, inputs: list[InputSlot], told: dict[str, Any]) -> None:
        self.path = path
        self.body = b""
        self.inputs = inputs
        self._connection = connection
        self._told = told
        self._lane = Lane(connection, self)
        self.invoke = self._lane.send

    def lanes(self, count: int) -> list[Callable[[], object]]:
        """Return functions that send the request side by side, each over a connection of its own."""
        url = self._connection.url
        return [Lane(HttpConnection(url, _REQUEST_S_MAX), self).send for _ in range(count)]

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the dtypes that the server has told."""
        return [encode_plain(value, slot) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Write the request."""
        self.body = self.write(encoded)

    def get_outputs(self) -> list[Any]:
        """Read the outputs of the last answer. Raise RequestFailed for an answer without outputs."""
        named = self.read(self._lane.answer)
        self.output_names = [name for name, _ in named]
        return [value for _, value in named]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        import numpy

        return [value.astype(numpy.float32) if value.dtype.kind in "fiub" else value for value in outputs]

    def count_nodes(self) -> NodePlaces:
        """Return that nobody can tell."""
        return NodePlaces(None, None, reason=_UNCOUNTED)

    def identity(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        return dict(self._told, input_dtypes=[slot.dtype for slot in self.inputs])

    @abstractmethod
    def write(self, encoded: list[Any]) -> bytes:
        """Return a request for an array of each input."""

    @abstractmethod
    def read(self, answer: bytes) -> list[tuple[str, Any]]:
        """Return names and arrays of an answer. Raise RequestFailed for an answer without outputs."""


def _found_in(folder: str, command: list[str]) -> list[str]:
    """Return a command whose first word, if it is the name of a file of the trial, is that file."""
    is_shipped = bool(command) and os.path.basename(command[0]) == command[0]
    is_shipped = is_shipped and os.path.isfile(os.path.join(folder, command[0]))
    return ["./" + command[0], *command[1:]] if is_shipped else command
