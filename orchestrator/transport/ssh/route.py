"""Work out the way to a device: every host to log in to, in order, with all options of the login."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.known_hosts import SSH_PORT, HostName
from orchestrator.transport.ssh.config import SshConfig, at_home, words

_NONE = "none"
_USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"


@dataclass(frozen=True, slots=True)
class Hop:
    """A host on the way. The device itself is the last hop.

    `name` is the device's name in the inventory if `enrollable`, otherwise the host as the user writes the host.
    `identity_files` are tried in order, and None means the usual files in ~/.ssh. `known_hosts` are files, with
    benchfleet's own first.
    """

    name: str
    host: str
    port: int
    user: str
    host_name: HostName
    known_hosts: tuple[Path, ...]
    identity_files: tuple[Path, ...] | None = None
    agent: bool = True
    identities_only: bool = False
    proxy_command: str | None = None
    enrollable: bool = False

    @property
    def door(self) -> str:
        """Return the name of the place where connections may be too many for one server.

        The place is the host with all of its ports, since one relay may serve all of them. Behind a proxy command the
        place is the command without the target.
        """
        if self.proxy_command is None:
            return self.host
        return self.proxy_command.replace(self.host, "%h").replace(str(self.port), "%p")

    @property
    def address(self) -> str:
        """HOST:PORT of the hop, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Routes:
    """Works out routes from the devices of the inventory and the ssh configuration."""

    config: SshConfig
    known_hosts: Path

    def to(self, device: Device) -> tuple[Hop, ...]:
        """Return the hosts to log in to, with the device as the last. Raise Unreachable for a loop."""
        return self._to_device(device, ())

    def _to_device(self, device: Device, behind: tuple[Hop, ...]) -> tuple[Hop, ...]:
        if device.transport is not TransportKind.SSH:
            raise Unreachable(
                f"{device.name} is not reached by ssh, and so is no jump host",
                hint="correct jump: in the inventory"
                + (f" ({device.name} is at {device.source})" if device.source else ""),
            )
        host = device.host or device.name
        options = self.config.lookup(host, {"User": device.user, "Port": device.port})
        hop = self._hop(device.name, host, options)
        # As with `ssh -J`, a jump takes the place of a ProxyCommand.
        hop = replace(hop, enrollable=True, proxy_command=None if device.jump else hop.proxy_command)
        if device.identity_file is not None:
            identity = at_home(device.identity_file)
            # The named key alone: servers refuse a login after a few keys, and an agent may hold many.
            hop = replace(hop, identity_files=(identity,), identities_only=True)
        behind = _no_loop(hop, behind)
        if device.jump_device is not None:
            return (*self._to_device(device.jump_device, behind), replace(hop, proxy_command=None))
        return self._by_jump(hop, device.jump or options.get("proxyjump"), behind)

    def _to_host(self, written: str, behind: tuple[Hop, ...], *, first: bool) -> tuple[Hop, ...]:
        """Return the hosts up to a host named by ProxyJump. Only the first host of a ProxyJump has a way of its own."""
        user, host, port = _parts(written)
        options = self.config.lookup(host, {"User": user, "Port": port})
        hop = self._hop(written, host, options)
        if behind[-1].address == hop.address:  # as in ssh: a ProxyJump for all hosts is not for the jump host
            return ()
        behind = _no_loop(hop, behind)
        if not first:
            return (replace(hop, proxy_command=None),)
        return self._by_jump(hop, options.get("proxyjump"), behind)

    def _by_jump(self, hop: Hop, jump: object, behind: tuple[Hop, ...]) -> tuple[Hop, ...]:
        """Return the hop behind the hosts of a ProxyJump. `jump` may be None or `none`."""
        written = [] if jump is None or str(jump).lower() == _NONE else str(jump).split(",")
        before: list[Hop] = []
        for host in written:
            before += self._to_host(host.strip(), behind, first=not before)
        return (*before, replace(hop, proxy_command=None) if before else hop)

    def _hop(self, name: str, host: str, options: Mapping[str, object]) -> Hop:
        address, port = str(options.get("hostname") or host), _port(options.get("port"))
        alias = options.get("hostkeyalias")
        files = (
            *words(options.get("userknownhostsfile") or _USER_KNOWN_HOSTS),
            *words(options.get("globalknownhostsfile") or _SYSTEM_KNOWN_HOSTS),
        )
        return Hop(
            name=name,
            host=address,
            port=port,
            user=str(options.get("user") or getpass.getuser()),
            host_name=HostName(str(alias)) if alias else HostName(address.lower(), port),
            known_hosts=(self.known_hosts, *(at_home(file) for file in files if file.lower() != _NONE)),
            identity_files=_identity_files(options.get("identityfile")),
            agent=str(options.get("identityagent", "")).lower() != _NONE,
            identities_only=str(options.get("identitiesonly")).lower() == "yes",
            proxy_command=None if options.get("proxycommand") is None else str(options["proxycommand"]),
        )


def _no_loop(hop: Hop, behind: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """Return `behind` with the hop added. Raise Unreachable if the hop is among `behind` already."""
    if any(known.name == hop.name and known.address == hop.address for known in behind):
        names = " -> ".join(known.name for known in (*behind, hop))
        raise Unreachable(f"the jump hosts form a loop: {names}", hint="correct jump: in the inventory, or ProxyJump")
    return (*behind, hop)


def _identity_files(option: object) -> tuple[Path, ...] | None:
    if not isinstance(option, list):
        return None
    return tuple(at_home(file) for file in option if file.lower() != _NONE)  # `none` means no file: ssh_config(5)


def _port(option: object) -> int:
    text = str(option or SSH_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Unreachable(f"the ssh configuration has {text!r} for a port")
    return int(text)


def _parts(written: str) -> tuple[str | None, str, int | None]:
    """Split [USER@]HOST[:PORT] or ssh://… into user, host and port. An IPv6 address with a port needs brackets."""
    user, _, rest = written.removeprefix("ssh://").rpartition("@")
    found = re.fullmatch(r"\[(?P<bracketed>[^]]+)\](?::(?P<port6>\d+))?|(?P<host>[^:]+):(?P<port>\d+)", rest)
    if found is None:
        return user or None, rest, None
    port = found["port6"] or found["port"]
    return user or None, found["bracketed"] or found["host"], int(port) if port else None
