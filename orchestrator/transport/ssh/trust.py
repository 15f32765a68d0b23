"""Check a host's key against the keys on record. No setting can skip the check."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.errors import HostKeyChanged, HostKeyUnknown, Unreachable
from orchestrator.transport.known_hosts import (
    SSH_PORT,
    HostKey,
    HostName,
    KnownKey,
    find,
    find_authorities,
    read_keys,
)
from orchestrator.transport.ssh.certificates import fault, is_certificate, key_of
from orchestrator.transport.ssh.hosts_command import find_by_command
from orchestrator.transport.ssh.route import Hop


@dataclass(frozen=True, slots=True)
class Records:
    """What is on record for a host: keys under the host's own name, under the name without port, and authorities."""

    own: tuple[KnownKey, ...]
    without_port: tuple[KnownKey, ...]
    authorities: tuple[KnownKey, ...]

    @property
    def trusted(self) -> tuple[KnownKey, ...]:
        """Every key that makes the host trusted."""
        return tuple(known for known in (*self.own, *self.without_port) if not known.revoked)


def records(hop: Hop, shown: HostKey | None = None) -> Records:
    """Look up what is on record for a host. A KnownHostsCommand may want to know the key that is shown."""
    own: list[KnownKey] = []
    without_port: list[KnownKey] = []
    authorities: list[KnownKey] = []
    for name, keys in ((hop.host_name, own), (_plain(hop), without_port)):
        if name is None:
            continue
        keys += find(name, hop.known_hosts)
        authorities += find_authorities(name, hop.known_hosts)
        if hop.hosts_command is not None:
            by_command = find_by_command(hop.hosts_command, name, shown)
            keys += [known for known in by_command if not known.authority]
            authorities += [known for known in by_command if known.authority]
    return Records(tuple(own), tuple(without_port), tuple(authorities))


def known_keys(hop: Hop) -> tuple[KnownKey, ...]:
    """Return every key on record that makes the host trusted."""
    return records(hop).trusted


def check(hop: Hop, shown: HostKey) -> None:
    """Return if the shown key is on record. Raise HostKeyUnknown or HostKeyChanged otherwise.

    A key of another type than the keys on record counts as changed. A certificate counts if an authority on record has
    signed the certificate for this host and this time.
    """
    # The handshake asks for the types on record first: see `Links._new_transport`.
    found = records(hop, shown)
    key = key_of(shown) if is_certificate(shown) else shown
    _refuse_revoked(hop, found, key)
    if any(known.key.blob == key.blob for known in found.trusted):
        return
    reason = ""
    if is_certificate(shown):
        reason = fault(shown, hop.host_name.name, found.authorities)
        if not reason:
            return
        reason = f"; it has a certificate, but {reason}"
    recorded = [known for known in found.own if not known.revoked]
    if recorded:
        raise _changed(hop, key, recorded)
    raise HostKeyUnknown(f"{_host(hop)} shows {key}, a host key that is not enrolled{reason}", hint=_enroll(hop))


def _refuse_revoked(hop: Hop, found: Records, key: HostKey) -> None:
    """Raise HostKeyChanged for a key that is revoked: first of all, since the key may also be on record as trusted."""
    place = next((known.place for known in (*found.own, *found.without_port) if _revokes(known, key)), None)
    if place is None and hop.revoked_keys is not None and key.blob in _revoked(hop):
        place = str(hop.revoked_keys)
    if place is not None:
        raise HostKeyChanged(f"{_host(hop)} shows {key}, a key that is revoked", hint=f"it is revoked at {place}")


def _revokes(known: KnownKey, key: HostKey) -> bool:
    return known.revoked and known.key.blob == key.blob


def _revoked(hop: Hop) -> set[bytes]:
    """Return the keys of RevokedHostKeys. Raise Unreachable if the list cannot be read: ssh trusts no host then."""
    path = hop.revoked_keys
    assert path is not None
    try:
        keys = read_keys(path.read_bytes().decode("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        keys, reason = None, f": {error.strerror}" if isinstance(error, OSError) else ""
    else:
        reason = ""
    if keys is None:
        raise Unreachable(
            f"RevokedHostKeys {path} is no list of keys that benchfleet can read{reason}",
            hint="name a file with a public key a line; a binary list (KRL) is for ssh alone",
        )
    return {key.blob for key in keys}


def _changed(hop: Hop, shown: HostKey, recorded: list[KnownKey]) -> HostKeyChanged:
    expected = next((known for known in recorded if known.key.algorithm == shown.algorithm), recorded[0])
    places = ", ".join(dict.fromkeys(known.place for known in recorded))
    return HostKeyChanged(
        f"{_host(hop)}: host key changed (expected {expected.key} of {expected.place}, shown {shown})",
        hint=f"if another device has the address now (DHCP), correct host: in the inventory; if the host was set up "
        f"anew, remove {places}; then {_enroll(hop)}",
    )


def _plain(hop: Hop) -> HostName | None:
    """Return the host's name without the port, or None if the port is the usual one."""
    # As in ssh: such an entry makes the same key trusted on every port, but another key is not a changed key.
    return None if hop.host_name.port in {None, SSH_PORT} else HostName(hop.host_name.name)


def _host(hop: Hop) -> str:
    return str(hop.host_name)


def _enroll(hop: Hop) -> str:
    return f"benchfleet devices enroll {hop.name}" if hop.enrollable else f"ssh {hop.name} once, and accept its key"
