"""Send requests over one HTTP connection that stays open."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from device_worker.trial.connection import (
    ANSWER_BYTES_MAX,
    REQUEST_S_MAX,
    Connection,
    RequestFailed,
    in_short,
    too_long,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPResponse
    from typing import Any, Mapping

_OK = 200
_PIECE_BYTES = 65536
_NO_HEADERS: Mapping[str, str] = {}
_JSON: Mapping[str, str] = {"Content-Type": "application/json"}


class HttpConnection(Connection):
    """A connection to a server. Paths are below the path of `url`. `method` is of requests with a body."""

    def __init__(self, url: str, timeout_s: float = REQUEST_S_MAX, method: str = "POST") -> None:
        parts = urlsplit(url)
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.url = url
        self._timeout_s = timeout_s
        self._method = method
        self._connection = make(parts.hostname or "", parts.port, timeout=timeout_s)
        self._below = parts.path.rstrip("/")

    def why_unready(self, path: str) -> str | None:
        """Return None if the server answers a path with success, else what came instead."""
        try:
            status, answer = self._exchange("GET", path, None, _NO_HEADERS)
        except RequestFailed as error:
            return str(error)
        return None if status == _OK else f"{self.url}{path}: {words_of(status, answer)}"

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that the server answers with. Raise RequestFailed."""
        status, answer = self._exchange("GET", path, None, _NO_HEADERS)
        if status != _OK:
            raise RequestFailed(f"{self.url}{path}: {words_of(status, answer)}")
        return parse_object(answer, self.url + path)

    def ask(self, path: str, body: bytes) -> bytes:
        """Return what the server answers to a body in JSON. Raise RequestFailed for any status but 200."""
        status, answer = self._exchange(self._method, path, body, _JSON)
        if status != _OK:
            raise RequestFailed(f"{self.url}{path}: {words_of(status, answer)}")
        return answer

    def another(self) -> HttpConnection:
        """Return a further connection to the same server."""
        return HttpConnection(self.url, self._timeout_s, self._method)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request(method, self._below + path, body, headers)
            response = self._connection.getresponse()
            if response.length is not None and response.length <= ANSWER_BYTES_MAX:
                return response.status, response.read()  # at once: pieces would be timed
            return response.status, _read_pieces(response)
        except RequestFailed as error:
            self._connection.close()  # the rest of the answer is no answer to the next request
            raise RequestFailed(f"{self.url}{path}: {error}") from None
        except (OSError, HTTPException) as error:
            self._connection.close()  # the next request begins anew
            words = str(error) or type(error).__name__
            raise RequestFailed(f"{self.url}{path}: {words}") from error


def _read_pieces(response: HTTPResponse) -> bytes:
    """Return an answer of unknown length. Raise RequestFailed for one that is too long."""
    if response.length is not None:
        raise RequestFailed(too_long(str(response.length)))
    pieces: list[bytes] = []
    count = 0
    while True:
        piece = response.read(_PIECE_BYTES)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        count += len(piece)
        if count > ANSWER_BYTES_MAX:
            raise RequestFailed(too_long(f"more than {count}"))


def parse_json(answer: bytes, source: str) -> Any:
    """Return the value of an answer in JSON. Raise RequestFailed for anything else."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise RequestFailed(f"{source}: the answer is no JSON: {in_short(answer)}") from None


def parse_object(answer: bytes, source: str) -> dict[str, Any]:
    """Return a JSON object. Raise RequestFailed for anything else."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestFailed(f"{source}: the answer is no JSON object: {in_short(answer)}")
    return found


def words_of(status: int, answer: bytes) -> str:
    """Return an answer that is no success for a message: the server's own words where there are any."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    said = found.get("error") if isinstance(found, dict) else None
    return f"HTTP {status}: {said if isinstance(said, str) else in_short(answer)}"
