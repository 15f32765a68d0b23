"""Turn what a reader of the ssh configuration says of a host into what a connection needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.transport.ssh.algorithms import BY_REQUEST, SUPPORTED, usable
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.jumps import Jump, jumps_of
from orchestrator.transport.ssh.tokens import Target, file_path, proxy_line
from orchestrator.transport.ssh.wording import Unusable, arguments

_NONE = "none"
_USER_FILES = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_SYSTEM_FILES = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_NAMES_OF_LISTS = ("Ciphers", "KexAlgorithms", "MACs", "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms")
_LISTS = {name.lower(): name for name in _NAMES_OF_LISTS}
_BEGINS_A_FILE = re.compile(r" (?=[/~])")


class CannotHonour(Unusable):
    """An option cannot be honoured, and a connection without the option would not be what the user asks for."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a connection is made. None and empty mean the usual.

    `algorithms` has lists by the keyword of the option, `places` FILE:LINE where known. `connect_timeout_s` and
    `silence_s` are the configuration's.
    With `passes_socket` a proxy command passes a connected socket, and carries nothing itself.
    """

    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    address_family: str = "any"
    bind_address: str | None = None
    bind_interface: str | None = None
    compression: bool = False
    connect_timeout_s: float | None = None
    silence_s: float | None = None
    passes_socket: bool = False


@dataclass(frozen=True, slots=True)
class HostsCommand:
    """A KnownHostsCommand: the words of the command, and the tokens known before the host shows a key."""

    words: tuple[str, ...]
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys a login offers. `files` of None means the usual files in ~/.ssh.

    `socket` of None means the agent of SSH_AUTH_SOCK. `unused` names what may hold keys that cannot be used.
    """

    files: tuple[Path, ...] | None = None
    certificates: tuple[Path, ...] = ()
    only: bool = False
    agent: bool = True
    socket: str | None = None
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the ssh configuration says of a host. A jump host of the list may have a user and a port of its own."""

    question: Question
    host: str
    port: int
    user: str
    alias: str | None
    known_hosts: tuple[Path, ...]
    hosts_command: HostsCommand | None
    revoked_keys: Path | None
    keys: Keys
    proxy_command: str | None
    jumps: tuple[Jump, ...]
    manner: Manner


def resolve(answer: Answer, usual: Mapping[str, tuple[str, ...]]) -> Resolved:
    """Return an answer in the form for connections. `usual` has the options of ssh without any configuration.

    Raise ValueError for what cannot be honoured, or names what is not there.
    """
    return _Resolver(answer, usual).resolved()


class _Resolver:
    def __init__(self, answer: Answer, usual: Mapping[str, tuple[str, ...]]) -> None:
        self._answer = answer
        self._usual = usual
        host, port = self._given("hostname") or answer.question.host, int(self._given("port") or 22)
        alias = self._given("hostkeyalias")
        written = self._given("proxyjump") or _NONE
        jumps = () if written.lower() == _NONE else jumps_of(written)
        self._jumps = jumps
        self._target = Target(
            answer.question.host,
            host,
            port,
            self._given("user") or "",
            alias.lower() if alias else None,
            jumps[-1].host if jumps else "",
            self._given("controlpath"),
        )
        self._tokens = self._target.tokens()

    def resolved(self) -> Resolved:
        self._refuse_other_logins()
        target = self._target
        command, revoked = self._given("knownhostscommand"), self._set("revokedhostkeys")
        proxy = self._given("proxycommand")
        return Resolved(
            question=self._answer.question,
            host=target.host,
            port=target.port,
            user=target.user,
            alias=target.alias,
            known_hosts=(
                *self._files("userknownhostsfile", _USER_FILES),
                *self._files("globalknownhostsfile", _SYSTEM_FILES),
            ),
            hosts_command=HostsCommand(tuple(arguments(command, comments=False)), self._tokens) if command else None,
            revoked_keys=file_path(revoked, self._tokens) if revoked else None,
            keys=self._keys(),
            proxy_command=self._proxy_line(proxy) if proxy and not self._jumps else None,
            jumps=tuple(map(self._filled, self._jumps)),
            manner=self._manner(),
        )

    def _given(self, keyword: str) -> str | None:
        return self._answer.first(keyword)

    def _set(self, keyword: str) -> str | None:
        """Return the value of an option that differs from what ssh has without configuration, else None."""
        values = self._answer.lines.get(keyword)
        return None if values is None or values == self._usual.get(keyword) else values[0]

    def _paths(self, keyword: str) -> tuple[Path, ...] | None:
        """Return the files of an option, a file a line, or None if the files are the usual."""
        values = self._answer.lines.get(keyword)
        if values is None or values == self._usual.get(keyword):
            return None
        return tuple(file_path(value, self._tokens) for value in values if value.lower() != _NONE)

    def _files(self, keyword: str, usual: str) -> tuple[Path, ...]:
        """Return the files of an option, all in one line."""
        if keyword in self._answer.words:
            names = list(self._answer.words[keyword])
        else:
            # ssh prints names with blanks as they are: only a slash or a tilde begins the next file.
            names = _BEGINS_A_FILE.split(self._set(keyword) or usual)
        filled = keyword.startswith("global") or (self._answer.by_ssh and self._set(keyword) is not None)
        return tuple(Path(name) if filled else file_path(name, self._tokens) for name in names if name.lower() != _NONE)

    def _keys(self) -> Keys:
        agent, socket = self._agent()
        provider = self._set("pkcs11provider")
        return Keys(
            files=self._paths("identityfile"),
            certificates=self._paths("certificatefile") or (),
            only=self._given("identitiesonly") == "yes",
            agent=agent,
            socket=socket,
            unused=(f"keys of PKCS11Provider {provider}",) if provider and provider.lower() != _NONE else (),
        )

    def _agent(self) -> tuple[bool, str | None]:
        """Return whether an agent is asked, and the socket of the agent if not that of SSH_AUTH_SOCK."""
        value = self._given("identityagent")
        if value is None or value == "SSH_AUTH_SOCK":
            return True, None
        if value.lower() == _NONE:
            return False, None
        if value.startswith("$") and not value.startswith("${"):
            return True, os.environ.get(value[1:], "")
        return True, value if self._answer.by_ssh else str(file_path(value, self._tokens))

    def _proxy_line(self, value: str) -> str:
        if value.strip() == "-":
            raise CannotHonour(f"ProxyCommand - takes the connection from standard input{self._place('proxycommand')}")
        return proxy_line(value, self._target)

    def _filled(self, jump: Jump) -> Jump:
        """Return a jump host with tokens filled in: to ssh a ProxyJump is a ProxyCommand."""
        user = None if jump.user is None else proxy_line(jump.user, self._target)
        return replace(jump, host=proxy_line(jump.host, self._target), user=user)

    def _manner(self) -> Manner:
        return Manner(
            algorithms={keyword: names for keyword in _LISTS if (names := self._allowed(keyword))},
            places={keyword: place for keyword in _LISTS if (place := self._answer.places.get(keyword))},
            address_family=self._given("addressfamily") or "any",
            bind_address=self._given("bindaddress"),
            bind_interface=self._given("bindinterface"),
            compression=self._given("compression") == "yes",
            connect_timeout_s=_seconds(self._given("connecttimeout")),
            silence_s=_seconds(self._given("serveraliveinterval")) or None,
            passes_socket=self._given("proxyusefdpass") == "yes" and not self._jumps,
        )

    def _allowed(self, keyword: str) -> tuple[str, ...]:
        """Return the algorithms that the configuration allows and benchfleet has, empty if nothing is configured."""
        value = self._set(keyword)
        if not value:
            return ()
        names = usable(keyword, value.split(","))
        if not names:
            ours = ", ".join((*SUPPORTED[keyword], *BY_REQUEST.get(keyword, ())))
            raise CannotHonour(
                f"{_LISTS[keyword]} {value}{self._place(keyword)} leaves no algorithm that benchfleet has: {ours}"
            )
        return names

    def _refuse_other_logins(self) -> None:
        """Raise CannotHonour for a configuration that allows no login by a key."""
        methods = self._given("preferredauthentications")
        if methods is not None and "publickey" not in methods.split(","):
            raise CannotHonour(
                f"PreferredAuthentications {methods}{self._place('preferredauthentications')} leaves out publickey, "
                "and benchfleet logs in with keys alone"
            )
        if self._given("pubkeyauthentication") in {"no", "false"}:
            raise CannotHonour(
                f"PubkeyAuthentication no{self._place('pubkeyauthentication')}, and benchfleet logs in with keys alone"
            )

    def _place(self, keyword: str) -> str:
        place = self._answer.places.get(keyword)
        return f" of {place}" if place else ""


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isdecimal() else None
