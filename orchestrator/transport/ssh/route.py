"""Work out the way to a device: every host to log in to, in order, with all options of the login."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.known_hosts import HostName
from orchestrator.transport.ssh.answers import Question
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.jumps import Jump, jumps_of
from orchestrator.transport.ssh.resolved import HostsCommand, Keys, Manner, Resolved
from orchestrator.transport.ssh.tokens import at_home

_NONE = "none"
_HOPS_MAX = 16


@dataclass(frozen=True, slots=True)
class Hop:
    """A host on the way. The device itself is the last hop.

    `name` is the device's name in the inventory if `enrollable`, otherwise the host as the user writes the host.
    `known_hosts` are files, with benchfleet's own first. What `hosts_command` prints counts as one file more. No key of
    `revoked_keys` is ever trusted.
    """

    name: str
    host: str
    port: int
    user: str
    host_name: HostName
    known_hosts: tuple[Path, ...]
    keys: Keys = field(default_factory=Keys)
    manner: Manner = field(default_factory=Manner)
    hosts_command: HostsCommand | None = None
    revoked_keys: Path | None = None
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
        found = self.config.lookup(Question(device.host or device.name, device.user, device.port))
        hop = self._hop(device.name, found)
        # As with `ssh -J`, a jump takes the place of a ProxyCommand.
        hop = replace(hop, enrollable=True, proxy_command=None if device.jump else hop.proxy_command)
        if device.identity_file is not None:
            # The named key alone: servers refuse a login after a few keys, and an agent may hold many.
            hop = replace(hop, keys=replace(hop.keys, files=(at_home(device.identity_file),), only=True))
        behind = _no_loop(hop, behind)
        if device.jump_device is not None:
            return (*self._to_device(device.jump_device, behind), replace(hop, proxy_command=None))
        return self._by_jumps(hop, _jumps(device) if device.jump else found.jumps, behind)

    def _to_host(self, jump: Jump, behind: tuple[Hop, ...], *, first: bool) -> tuple[Hop, ...]:
        """Return the hosts up to a host named by ProxyJump. Only the first host of a ProxyJump has a way of its own."""
        found = self.config.lookup(Question(jump.host, jump.user, jump.port))
        hop = self._hop(str(jump), found)
        if behind[-1].address == hop.address:  # as in ssh: a ProxyJump for all hosts is not for the jump host
            return ()
        behind = _no_loop(hop, behind)
        if not first:
            return (replace(hop, proxy_command=None),)
        return self._by_jumps(hop, found.jumps, behind)

    def _by_jumps(self, hop: Hop, jumps: tuple[Jump, ...], behind: tuple[Hop, ...]) -> tuple[Hop, ...]:
        """Return the hop behind the hosts of a ProxyJump."""
        before: list[Hop] = []
        for jump in jumps:
            before += self._to_host(jump, behind, first=not before)
        return (*before, replace(hop, proxy_command=None) if before else hop)

    def _hop(self, name: str, found: Resolved) -> Hop:
        return Hop(
            name=name,
            host=found.host,
            port=found.port,
            user=found.user,
            host_name=HostName(found.alias) if found.alias else HostName(found.host.lower(), found.port),
            known_hosts=(self.known_hosts, *found.known_hosts),
            keys=found.keys,
            manner=found.manner,
            hosts_command=found.hosts_command,
            revoked_keys=found.revoked_keys,
            proxy_command=found.proxy_command,
        )


def _jumps(device: Device) -> tuple[Jump, ...]:
    """Return the hosts of a device's `jump`, which is written as a ProxyJump."""
    written = device.jump or _NONE
    if written.lower() == _NONE:
        return ()
    try:
        return jumps_of(",".join(part.strip() for part in written.split(",")))
    except ValueError as error:
        raise Unreachable(str(error), hint="correct jump: in the inventory") from error


def _no_loop(hop: Hop, behind: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """Return `behind` with the hop added. Raise Unreachable if the hop is among `behind` already, or has no end."""
    if len(behind) == _HOPS_MAX:  # a ProxyJump of tokens may lead to a new host each time
        names = " -> ".join(known.name for known in (*behind[:3], hop))
        raise Unreachable(
            f"more than {_HOPS_MAX} jump hosts: {names} …", hint="correct ProxyJump: is it for its own hosts?"
        )
    if any(known.name == hop.name and known.address == hop.address for known in behind):
        names = " -> ".join(known.name for known in (*behind, hop))
        raise Unreachable(f"the jump hosts form a loop: {names}", hint="correct jump: in the inventory, or ProxyJump")
    return (*behind, hop)
