"""Drive a model that a server has over gRPC. The package grpcio is one of the endpoint's packages."""

from __future__ import annotations

import importlib

from device_worker.trial.causes import describe
from device_worker.trial.connection import RequestFailed
from device_worker.trial.grpc_connection import GrpcConnection
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.runtimes.endpoint import EndpointRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial.connection import Connection


class GrpcRuntime(EndpointRuntime):
    """A server that is asked over gRPC."""

    _grpc: Any
    _channel: GrpcConnection

    def _import(self, name: str) -> tuple[str, Any]:
        try:
            self._grpc = importlib.import_module("grpc")
        except ImportError as error:
            words = f"no grpc to ask the server with ({describe(error)})"
            raise LoadFailure(f"{words}; name grpcio==VERSION among the packages of the endpoint") from error
        return super()._import(name)

    def _open(self, url: str) -> Connection:
        self._channel = GrpcConnection(self._grpc, url)
        return self._channel


def from_bytes(numpy: Any, name: str, content: bytes, dtype: str) -> Any:
    """Return numbers that stand in a row of bytes, the lowest byte first. Raise RequestFailed for half a number."""
    try:
        return numpy.frombuffer(content, numpy.dtype(dtype).newbyteorder("<"))
    except ValueError as error:
        raise RequestFailed(f"output {name!r} cannot be read: {error}") from error
