"""Send requests over one HTTP connection that stays open. Whatever is no answer with a result is raised."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_OK = 200
_WORDS_MAX = 300
_NO_HEADERS: Mapping[str, str] = {}


class RequestFailed(Exception):
    """A server did not answer a request with a result. The message says what came instead."""


class HttpConnection:
    """A connection to a server. Paths are below the path of `url`. Connects at the first request."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.url = url
        self._connection = make(parts.hostname or "", parts.port, timeout=timeout_s)
        self._below = parts.path.rstrip("/")

    def is_ready(self, path: str) -> bool:
        """Return whether the server answers a path with success. No server at all is not ready."""
        try:
            return self._exchange("GET", path, None, _NO_HEADERS)[0] == _OK
        except RequestFailed:
            return False

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that the server answers with. Raise RequestFailed."""
        status, answer = self._exchange("GET", path, None, _NO_HEADERS)
        if status != _OK:
            raise RequestFailed(f"{self.url}{path}: {words_of(status, answer)}")
        return parse_object(answer, self.url + path)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return what the server answers to a body. Raise RequestFailed for any status but 200."""
        status, answer = self._exchange("POST", path, body, headers)
        if status != _OK:
            raise RequestFailed(f"{self.url}{path}: {words_of(status, answer)}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request(method, self._below + path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()  # the next request begins anew
            words = str(error) or type(error).__name__
            raise RequestFailed(f"{self.url}{path}: {words}") from error


def parse_object(answer: bytes, source: str) -> dict[str, Any]:
    """Return a JSON object. Raise RequestFailed for anything else."""
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RequestFailed(f"{source}: the answer is no JSON object: {_short(answer)}")
    return found


def words_of(status: int, answer: bytes) -> str:
    """Return an answer that is no success for a message: the server's own words where there are any."""
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    said = found.get("error") if isinstance(found, dict) else None
    return f"HTTP {status}: {said if isinstance(said, str) else _short(answer)}"


def _short(answer: bytes) -> str:
    return " ".join(answer[:_WORDS_MAX].decode("utf-8", "replace").split()) or "an empty answer"
