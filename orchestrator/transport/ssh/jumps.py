"""Read the hosts of a ProxyJump: [USER@]HOST[:PORT] or ssh://…, separated by commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from orchestrator.transport.ssh.wording import Unusable

_SCHEME = "ssh://"
_HOST = re.compile(r"(?:\[(?P<bracketed>[^]]+)\]|(?P<host>[^:/\[]+))(?:[:/](?P<port>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump host as written, in parts."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}{port}"


def jumps_of(written: str) -> tuple[Jump, ...]:
    """Return the hosts of a ProxyJump in order. Raise ValueError for what names no host."""
    return tuple(_jump(part) for part in written.split(","))


def _jump(written: str) -> Jump:
    text = written
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :].removesuffix("/")
    user, at, rest = text.rpartition("@")
    found = _HOST.fullmatch(rest)
    if found is None or (at and not user):
        raise Unusable(f"ProxyJump {written!r} names no host")
    port = found["port"] or None
    if port is not None and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise Unusable(f"ProxyJump {written!r} has {port!r} for a port")
    user = unquote(user) if text is not written else user
    return Jump(found["bracketed"] or found["host"], user or None, int(port) if port else None)
