"""Check a host's key against the keys on record. No setting can skip the check."""

from __future__ import annotations

from orchestrator.domain.errors import HostKeyChanged, HostKeyUnknown
from orchestrator.transport.known_hosts import SSH_PORT, HostKey, HostName, KnownKey, find
from orchestrator.transport.ssh.route import Hop


def known_keys(hop: Hop) -> tuple[KnownKey, ...]:
    """Return every key on record that makes the host trusted."""
    return tuple(known for known in (*_own(hop), *_without_port(hop)) if not known.revoked)


def check(hop: Hop, shown: HostKey) -> None:
    """Return if the shown key is on record. Raise HostKeyUnknown or HostKeyChanged otherwise.

    A key of another type than the keys on record counts as changed.
    """
    # The handshake asks for the types on record first: see `Links._new_transport`.
    own, without_port = _own(hop), _without_port(hop)
    for known in (*own, *without_port):
        if known.revoked and known.key.blob == shown.blob:  # first: a revoked key may also be on record as trusted
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
    """Return the keys on record for the host without a port, if the port is unusual."""
    # As in ssh: such an entry makes the same key trusted on every port, but another key is not a changed key.
    if hop.host_name.port in {None, SSH_PORT}:
        return ()
    return find(HostName(hop.host_name.name), hop.known_hosts)


def _host(hop: Hop) -> str:
    return str(hop.host_name)


def _enroll(hop: Hop) -> str:
    return f"benchfleet devices enroll {hop.name}" if hop.enrollable else f"ssh {hop.name} once, and accept its key"
