"""Define what a client does with a server, over whichever transport. What is no answer with a result is raised."""

from __future__ import annotations

from abc import ABC, abstractmethod

REQUEST_S_MAX = 60.0
"""The longest time for a request, in seconds."""

ANSWER_BYTES_MAX = 256 << 20
"""The longest answer that is read: a server must not fill the device's memory."""

_WORDS_MAX = 300


class RequestFailed(Exception):
    """A server did not answer a request with a result. The message says what came instead."""


class Connection(ABC):
    """A connection to the server at `url` that stays open. Connects at the first request."""

    url: str

    @abstractmethod
    def ask(self, path: str, body: bytes) -> bytes:
        """Send a request, and return the whole answer. Raise RequestFailed for an answer without a result."""

    @abstractmethod
    def another(self) -> Connection:
        """Return a further connection to the same server."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def too_long(said: str) -> str:
    """Return in words that an answer is too long to be read."""
    return f"the answer has {said} bytes, and at most {ANSWER_BYTES_MAX >> 20} MiB are read"


def in_short(answer: bytes) -> str:
    """Return the beginning of an answer for a message, in one line."""
    return " ".join(answer[:_WORDS_MAX].decode("utf-8", "replace").split()) or "an empty answer"
