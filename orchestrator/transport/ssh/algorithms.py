"""Know the algorithms of connections: what benchfleet has, what may be asked for, what the other side offers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from cryptography.hazmat.primitives.hashes import SHA1
from paramiko import RSAKey, Transport
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.kex_gex import KexGexSHA256
from paramiko.kex_group14 import KexGroup14SHA256
from paramiko.ssh_exception import IncompatiblePeer

_PARAMIKO: Any = Transport  # its tables of algorithms are not in its types
_CURVE, _CURVE_OF_LIBSSH = "curve25519-sha256", "curve25519-sha256@libssh.org"


class NothingInCommon(IncompatiblePeer):
    """Both sides have no algorithm of a kind in common. `option` names the kind as ssh_config does."""

    def __init__(self, option: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
        super().__init__(f"no {option} in common")
        self.option = option
        self.ours = ours
        self.theirs = theirs


class _Group14Sha1(KexGroup14SHA256):
    name = "diffie-hellman-group14-sha1"
    hash_algo = hashlib.sha1


class _GroupExchangeSha1(KexGexSHA256):
    name = "diffie-hellman-group-exchange-sha1"
    hash_algo = hashlib.sha1


class _RsaSha1Key(RSAKey):
    """An RSA host key whose signatures are by SHA-1, and by nothing else."""

    HASHES: ClassVar[dict[str, Any]] = {"ssh-rsa": SHA1}  # type: ignore[misc]


class NamingTransport(Transport):
    """A transport that tells both sides' lists where the sides have nothing in common."""

    # Of old servers. Paramiko has dropped them, and they are used only where the configuration names them.
    _key_info: ClassVar[dict[str, Any]] = {**_PARAMIKO._key_info, "ssh-rsa": _RsaSha1Key}
    _kex_info: ClassVar[dict[str, Any]] = {
        **_PARAMIKO._kex_info,
        _CURVE: KexCurve25519,
        _Group14Sha1.name: _Group14Sha1,
        _GroupExchangeSha1.name: _GroupExchangeSha1,
    }

    # Two names of one algorithm. Paramiko knows the older name alone, and a configuration may allow the newer alone.
    _preferred_kex = tuple(
        name
        for known in _PARAMIKO._preferred_kex
        for name in ((_CURVE, known) if known == _CURVE_OF_LIBSSH else (known,))
    )
    _offered: Mapping[str, Any] = {}

    def _really_parse_kex_init(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        parsed: dict[str, Any] = cast("Any", super())._really_parse_kex_init(*arguments, **options)
        self._offered = {name: tuple(value) for name, value in parsed.items() if isinstance(value, list)}
        return parsed

    def _parse_kex_init(self, message: Any) -> None:
        try:
            cast("Any", super())._parse_kex_init(message)
        except IncompatiblePeer as error:
            security = self.get_security_options()
            for option, ours, theirs in (
                ("KexAlgorithms", security.kex, "kex_algo_list"),
                ("HostKeyAlgorithms", security.key_types, "server_key_algo_list"),
                ("Ciphers", security.ciphers, "server_encrypt_algo_list"),
                ("Ciphers", security.ciphers, "client_encrypt_algo_list"),
                ("MACs", security.digests, "server_mac_algo_list"),
                ("MACs", security.digests, "client_mac_algo_list"),
            ):
                offered = self._offered.get(theirs, ())
                if not set(ours) & set(offered):
                    raise NothingInCommon(option, tuple(ours), offered) from error
            raise


_OURS: Any = NamingTransport
SUPPORTED: Mapping[str, tuple[str, ...]] = {
    "ciphers": _OURS._preferred_ciphers,
    "kexalgorithms": _OURS._preferred_kex,
    "macs": _OURS._preferred_macs,
    "hostkeyalgorithms": _OURS._preferred_keys,
    "pubkeyacceptedalgorithms": _OURS._preferred_pubkeys,
}
"""The algorithms that benchfleet has, by option, in the usual order."""

BY_REQUEST: Mapping[str, tuple[str, ...]] = {
    "kexalgorithms": (_Group14Sha1.name, _GroupExchangeSha1.name),
    "hostkeyalgorithms": ("ssh-rsa",),
    "pubkeyacceptedalgorithms": ("ssh-rsa",),
}
"""What benchfleet has too, and uses only where the configuration names it: SHA-1, of servers before 2016."""


def usable(keyword: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of a list of algorithms that benchfleet has, in the order of the list."""
    known = {*SUPPORTED[keyword], *BY_REQUEST.get(keyword, ())}
    return tuple(name for name in names if name in known)
