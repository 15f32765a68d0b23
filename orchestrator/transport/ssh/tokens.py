"""Fill in the tokens (%h, %r, …), the variables (${NAME}) and the `~` of values in an ssh configuration."""

from __future__ import annotations

import getpass
import hashlib
import os
import pwd
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.transport.ssh.wording import Unusable

_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_OF_PROXIES = "hknpr"


class TokenUnknown(Unusable):
    """A value has a token or a variable that cannot be filled in."""


@dataclass(frozen=True, slots=True)
class Target:
    """What tokens are about: the host as the user writes the host, address, port, user, alias and jump host."""

    written: str
    host: str
    port: int
    user: str
    alias: str | None = None
    jump: str = ""
    connection: str | None = None

    def tokens(self) -> dict[str, str]:
        """Return the value of each token, by letter."""
        here = socket.gethostname()
        return {
            "%": "%",
            "C": self.connection or _connection(here, self.host, self.port, self.user),
            "L": here.partition(".")[0],
            "d": str(home()),
            "h": self.host,
            "i": str(os.getuid()),
            "j": self.jump,
            "k": self.alias or self.written,
            "l": here,
            "n": self.written,
            "p": str(self.port),
            "r": self.user,
            "u": local_user(),
        }


def home() -> Path:
    """Return the home of the user: HOME, or the account's if HOME is not set."""
    return Path("~").expanduser()


def account_home() -> Path | None:
    """Return the home of the account, which ssh takes for `~` whatever HOME says. None for a user without account."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def local_user() -> str:
    """Return the name of the account."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return getpass.getuser()


def fill(value: str, tokens: Mapping[str, str]) -> str:
    """Return a value with tokens filled in. Raise TokenUnknown for a token that the option does not have."""

    def of(found: re.Match[str]) -> str:
        if found[1] not in tokens:
            raise TokenUnknown(f"{value!r} has the token %{found[1]}, which stands for nothing there")
        return tokens[found[1]]

    return _TOKEN.sub(of, value)


def fill_all(value: str, tokens: Mapping[str, str]) -> str:
    """Return a value with tokens and variables filled in. Raise TokenUnknown for one that stands for nothing."""

    def of(found: re.Match[str]) -> str:
        if not found[2] or found[1] not in os.environ:
            raise TokenUnknown(f"{value!r} names the variable {found[1]!r}, which is not set")
        return os.environ[found[1]]

    # Variables first, by pieces: what a variable brings is no token, and the reverse.
    pieces: list[str] = []
    at = 0
    for found in _VARIABLE.finditer(value):
        pieces += [fill(value[at : found.start()], tokens), of(found)]
        at = found.end()
    return "".join([*pieces, fill(value[at:], tokens)])


def file_path(value: str, tokens: Mapping[str, str]) -> Path:
    """Return the path of a file, with `~`, tokens and variables filled in."""
    return Path(fill_all(str(at_home(value)) if value.startswith("~") else value, tokens))


def proxy_line(value: str, target: Target) -> str:
    """Return the line of a ProxyCommand for a shell, or a host or user of a ProxyJump."""
    tokens = target.tokens()
    return fill(value, {name: tokens[name] for name in (*_OF_PROXIES, "%")})


def at_home(file: str) -> Path:
    """Return a path with `~` written out. The `~name` of an unknown user stays as written."""
    try:
        return Path(file).expanduser()
    except RuntimeError:
        return Path(file)


def _connection(here: str, host: str, port: int, user: str) -> str:
    return hashlib.sha1(f"{here}{host}{port}{user}".encode(), usedforsecurity=False).hexdigest()
