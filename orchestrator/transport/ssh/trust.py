"""Whether a host is the one it was: its key against the keys on record. There is no way around it."""

from __future__ import annotations

from orchestrator.domain.errors import HostKeyChanged, HostKeyUnknown
from orchestrator.transport.known_hosts import SSH_PORT, HostKey, HostName, KnownKey, find
from orchestrator.transport.ssh.route import Hop


def known_keys(hop: Hop) -> tuple[KnownKey, ...]:
    """Return every key on record that would make the host trusted."""
    return tuple(known for known in (*_own(hop), *_without_port(hop)) if not known.revoked)


def check(hop: Hop, shown: HostKey) -> None:
    """Return if the key that the host shows is on record; raise HostKeyUnknown or HostKeyChanged otherwise.

    A key of another type than those on record counts as changed: the handshake asks for the known types first.
    """
    own, without_port = _own(hop), _without_port(hop)
    for known in (*own, *without_port):
        if known.revoked and known.key.blob == shown.blob:
            raise HostKeyChanged(
                f"{_host(hop)} shows {shown}, a key that is revoked", hint=f"it is revoked at {known.place}"
            )
    if any(known.key.blob == shown.blob for known in (*own, *without_port) if not known.revoked):
        return
    recorded = [known for known in own if not known.revoked]
    if recorded:
        raise _changed(hop, shown, recorded)
    raise HostKeyUnknown(f"{_host(hop)} shows {shown}, a host key that is not enrolled", hint=_enroll(hop))


def _changed(hop: Hop, shown: HostKey, recorded: list[KnownKey]) -> HostKeyChanged:
    expected = next((known for known in recorded if known.key.algorithm == shown.algorithm), recorded[0])
    places = ", ".join(dict.fromkeys(known.place for known in recorded))
    return HostKeyChanged(
        f"{_host(hop)}: host key changed (expected {expected.key} of {expected.place}, shown {shown})",
        hint=f"if the host was set up anew, remove {places}; then {_enroll(hop)}",
    )


def _own(hop: Hop) -> tuple[KnownKey, ...]:
    return find(hop.host_name, hop.known_hosts)


def _without_port(hop: Hop) -> tuple[KnownKey, ...]:
    """As in ssh: an entry without a port is good for the same key on an unusual port, but proves no other one wrong."""
    if hop.host_name.port in {None, SSH_PORT}:
        return ()
    return find(HostName(hop.host_name.name), hop.known_hosts)


def _host(hop: Hop) -> str:
    return str(hop.host_name)


def _enroll(hop: Hop) -> str:
    return f"benchfleet devices enroll {hop.name}" if hop.enrollable else f"ssh {hop.name} once, and accept its key"
