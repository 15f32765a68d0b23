"""Send requests over one gRPC channel that stays open. Messages are bytes here, written and read by `wire`."""

from __future__ import annotations

from urllib.parse import urlsplit

from device_worker.trial.connection import ANSWER_BYTES_MAX, REQUEST_S_MAX, Connection, RequestFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_RECONNECT_MS = 100
_OPTIONS = (
    # Channels to one address share a connection otherwise, and requests side by side would wait for each other.
    ("grpc.use_local_subchannel_pool", 1),
    # A repeated request hides in the latency of the second one.
    ("grpc.enable_retries", 0),
    # As over HTTP: the server of the sweep is meant, whatever the login's variables say.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    # A server that starts is asked again and again: a channel waits up to two minutes between its attempts otherwise.
    # The least wait stays as it is, for an attempt to connect may take as long: a far server, or TLS, needs more.
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
)


class GrpcConnection(Connection):
    """A channel of its own connection. `grpc` is the module of the package grpcio."""

    def __init__(self, grpc: Any, url: str, timeout_s: float = REQUEST_S_MAX) -> None:
        parts = urlsplit(url)
        is_secure = parts.scheme == "https"
        host = parts.hostname or ""
        target = f"{f'[{host}]' if ':' in host else host}:{parts.port or (443 if is_secure else 80)}"
        self.url = url
        self._grpc = grpc
        self._timeout_s = timeout_s
        self._calls: dict[str, Callable[..., bytes]] = {}
        self._channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
            if is_secure
            else grpc.insecure_channel(target, options=_OPTIONS)
        )

    def ask(self, path: str, body: bytes) -> bytes:
        """Return the message that the server answers to a message. Raise RequestFailed for any status but OK."""
        call = self._calls.get(path)
        if call is None:
            call = self._calls[path] = self._channel.unary_unary(path)
        try:
            return call(body, timeout=self._timeout_s)
        except self._grpc.RpcError as error:
            words = " ".join(str(error.details()).split()) or "without a word"
            raise RequestFailed(f"{self.url}{path}: gRPC {error.code().name}: {words}") from error

    def another(self) -> GrpcConnection:
        """Return a further connection to the same server."""
        return GrpcConnection(self._grpc, self.url, self._timeout_s)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
