"""Drive a model that a server has. Each protocol says how a request and an answer are written."""

from __future__ import annotations

import os
from abc import abstractmethod

from device_worker.trial.causes import describe
from device_worker.trial.connection import RequestFailed
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.encoding import encode_plain
from device_worker.trial.runtimes.base import LoadedModel, LoadFailure, Runtime
from device_worker.trial.server_counts import ServerCounts
from device_worker.trial.server_process import ServerProcess, free_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.connection import Connection
    from device_worker.trial.runtimes.base import InputSlot

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
        self._connection: Connection | None = None
        self._model: ServedModel | None = None

    def _import(self, name: str) -> tuple[str, Any]:
        try:
            import numpy
        except ImportError as error:
            words = f"no numpy to write requests with ({describe(error)})"
            raise LoadFailure(f"{words}; name a package of the endpoint that brings it") from error
        return "numpy", numpy

    def load(self) -> LoadedModel:
        """Start the server if the job has a command, wait until the model is ready, and ask for its inputs."""
        url = self._endpoint.url
        if self._command:
            ports = free_ports()
            url = f"http://127.0.0.1:{ports[0]}"
            self._start(ports)
        try:
            self._connection = self._open(url or "")
            self._wait_until_ready(url or "")
            self._model = self._describe()
            return self._model
        except RequestFailed as error:
            raise LoadFailure(f"the server does not describe the model {self._endpoint.model!r}: {error}") from error

    def close(self) -> None:
        """Close all connections, and end the server that `load` has started."""
        if self._model is not None:
            self._model.close_lanes()
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.end()

    def _start(self, ports: list[int]) -> None:
        variables = {
            "BENCHFLEET_PORT": str(ports[0]),
            "BENCHFLEET_PORTS": " ".join(map(str, ports)),
            "BENCHFLEET_PROTOCOL": self.engine,
        }
        self._server = ServerProcess(self._command, self._folder, variables)

    def _wait_until_ready(self, url: str) -> None:
        if self._server is not None:
            self._server.wait_until_ready(self._why_unready, self._endpoint.ready_s_max)
            return
        reason = self._why_unready()
        if reason is not None:
            raise LoadFailure(
                f"{url} has no model {self._endpoint.model!r} that is ready ({reason}); start the server, or let the "
                "sweep start one (serve)"
            )

    @abstractmethod
    def _open(self, url: str) -> Connection:
        """Return a connection to a server, which need not be there yet."""

    @abstractmethod
    def _why_unready(self) -> str | None:
        """Ask the server for the model. Return None once the model can be asked, else what the server said instead."""

    @abstractmethod
    def _describe(self) -> ServedModel:
        """Ask the server for the inputs of the model. Raise LoadFailure or RequestFailed."""


class Lane:
    """A connection of its own to a server. `answer` is the last answer."""

    __slots__ = ("_connection", "_model", "answer")

    def __init__(self, connection: Connection, model: ServedModel) -> None:
        self._connection = connection
        self._model = model
        self.answer = b""

    def send(self) -> None:
        """Send the model's request, and read the whole answer. Raise RequestFailed for an answer without a result."""
        model = self._model
        self.answer = self._connection.ask(model.path, model.body)


class ServedModel(LoadedModel):
    """A model behind a connection. An invocation is a request, from the first byte sent to the last byte read.

    `path` is where requests go. `told` is what the server says of itself.
    """

    allocate_reason = "the server allocates"
    memory_reason = "the model is in the server's process"

    def __init__(self, connection: Connection, path: str, inputs: list[InputSlot], told: dict[str, Any]) -> None:
        self.path = path
        self.body = b""
        self.inputs = inputs
        self._connection = connection
        self._told = told
        self._further: list[Connection] = []
        self._lane = Lane(connection, self)
        self.invoke = self._lane.send

    def lanes(self, count: int) -> list[Callable[[], object]]:
        """Return functions that send the request side by side, each over a connection of its own."""
        self._further += [self._connection.another() for _ in range(count)]
        return [Lane(connection, self).send for connection in self._further[-count:]] if count else []

    def close_lanes(self) -> None:
        """Close the connections of the lanes. A server that ends in order waits for its clients."""
        for connection in self._further:
            connection.close()

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

    def server_counts(self) -> ServerCounts:
        """Return what the server has counted of its own work, or why that is unknown."""
        try:
            return self._counts()
        except RequestFailed as error:
            return ServerCounts({}, f"the server tells no statistics ({error})")

    def _counts(self) -> ServerCounts:
        """Ask the server. Raise RequestFailed."""
        return ServerCounts({}, "the protocol has no statistics of the server")

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


def shaped(numpy: Any, name: str, values: Any, dtype: Any, shape: Any) -> Any:
    """Return the array of an output. Raise RequestFailed for values that do not fit its shape."""
    try:
        return numpy.asarray(values, dtype=dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestFailed(f"output {name!r} cannot be read: {error}") from error
