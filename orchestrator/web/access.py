"""Decide about readers of the page, and name the writers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.errors import ConfigError

COOKIE = "benchfleet_session"
TOKEN_CHARACTERS_MIN = 16
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_WHO_MAX = 100
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Access:
    """Hold the rules of one server.

    `hosts` are the names by which the server may be called, without ports. `token` is demanded of every request if
    given, and then there is no `proxy_header`: the header with the name of a person signed in by a proxy. `secret`
    signs forms and sessions, and is new after each start.
    """

    host: str
    hosts: frozenset[str]
    token: str | None = None
    proxy_header: str | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def session(self) -> str:
        """Return the cookie's value of a reader with the token."""
        # Not the token itself: a cookie that leaks is worth nothing after the next start.
        return hmac.new(self.secret, (self.token or "").encode(), hashlib.sha256).hexdigest()

    def lets_in(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Return True if a request has shown the token, or was let through by the proxy. Header names are lower."""
        if self.proxy_header is not None and headers.get(self.proxy_header.lower()):
            return True
        if self.token is None:
            # Loopback alone: `access` has refused every other address without token and proxy.
            return self.proxy_header is None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        return hmac.compare_digest(cookies.get(COOKIE, "").encode(), self.session().encode())

    def is_token(self, given: str) -> bool:
        """Return True for the token, in a time that does not tell how much of the token was right."""
        # As bytes: compare_digest() refuses text beyond ASCII, and a stranger may send any.
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def calls(self, host: str) -> bool:
        """Return True if a Host header names this server. Pages of other names could otherwise read this page."""
        return _without_port(host).lower() in self.hosts

    def form_token(self) -> str:
        """Return the token of forms. Another site can send a form, and cannot read the token."""
        return hmac.new(self.secret, b"form", hashlib.sha256).hexdigest()

    def person(self, headers: Mapping[str, str], given: str, holder: str) -> str:
        """Return the writer: the proxy's name, or the name `given` in a form, or `holder` for the user's own page.

        Raise ConfigError for a shared page without a name.
        """
        if self.proxy_header is not None and headers.get(self.proxy_header.lower()):
            return _printable(headers[self.proxy_header.lower()])
        if self.token is None:
            return holder
        if not given.strip():
            raise ConfigError("who decides? the name is empty", "write your name beside the reason")
        # Whoever has the token may write any name: the record says that the name came from the page.
        return f"{_printable(given)} (page)"


def access(host: str, names: tuple[str, ...], token: str | None, proxy_header: str | None) -> Access:
    """Return the rules of a server on an address.

    `names` are further names of the server, as browsers use. Raise ConfigError for an address beyond this machine
    without token and proxy header, for both at once, for a short token, and for a header's name that is none.
    """
    if proxy_header is not None and not _HEADER.fullmatch(proxy_header):
        raise ConfigError(f"--proxy-header {proxy_header!r} is no name of a header", "such as X-Forwarded-User")
    if token is not None and (len(token) < TOKEN_CHARACTERS_MIN or not token.isascii() or not token.isprintable()):
        raise ConfigError(
            f"the token needs at least {TOKEN_CHARACTERS_MIN} characters of ASCII",
            "python3 -c 'import secrets; print(secrets.token_urlsafe())' makes one",
        )
    if token is not None and proxy_header is not None:
        # Either alone would let a reader in, and anyone who reaches the port can write a header.
        raise ConfigError(
            "--proxy-header and BENCHFLEET_TOKEN are both given", "unset BENCHFLEET_TOKEN, or leave the header out"
        )
    if not is_loopback(host) and token is None and proxy_header is None:
        raise ConfigError(
            f"--host {host}: everyone in the network could read the page and decide about regressions",
            "set BENCHFLEET_TOKEN to demand a token, or name the header of a proxy that signs people in: "
            "--proxy-header X-Forwarded-User",
        )
    # Browsers on the machine itself call any server by these names.
    own = LOOPBACK_NAMES if is_loopback(host) else LOOPBACK_NAMES | {host}
    return Access(host, frozenset(name.lower() for name in (*own, host, *names)), token, proxy_header)


def is_loopback(host: str) -> bool:
    """Return True for an address that other machines cannot reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    # An IPv6 address has colons of its own, and stands in brackets.
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text.strip())[:_WHO_MAX]
