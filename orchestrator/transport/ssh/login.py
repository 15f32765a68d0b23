"""Log in with a key: choose the keys to offer, their order, and the error if no key is accepted."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    load_ssh_public_identity,
)
from paramiko import Message, PKey, RSAKey, Transport
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob, UnknownKeyType
from paramiko.ssh_exception import (
    BadAuthenticationType,
    PasswordRequiredException,
    SSHException,
)

from orchestrator.domain.errors import AuthenticationFailed, Unreachable
from orchestrator.specs.paths import is_special
from orchestrator.transport.ssh.failures import EXPECTED
from orchestrator.transport.ssh.resolved import Keys
from orchestrator.transport.ssh.route import Hop

_CERTIFICATE = "-cert-v01@openssh.com"
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
_USUAL_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True, slots=True)
class _Offer:
    """A key, with a name for messages. The key may stand for a certificate."""

    key: PKey
    name: str

    @property
    def signatures(self) -> tuple[str, ...]:
        """The names of the key's type among the algorithms of a login: an RSA key has several."""
        name = self.key.get_name().removesuffix(_CERTIFICATE)
        return _RSA_SIGNATURES if name == "ssh-rsa" else (name,)


class Login:
    """Offers keys until a key is accepted. Offers no password, and never forwards the agent.

    The identity_file of a device is the only key offered. Otherwise the order is ssh's: certificates, the keys of the
    configuration, then the agent's other keys, then the usual files if the configuration names no key. A key that the
    agent holds is used through the agent. A key of a type that PubkeyAcceptedAlgorithms leaves out is not offered.
    """

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._unusable: list[AuthenticationFailed] = []

    def authenticate(self, transport: Transport) -> None:
        """Log in over a connection with a trusted host key. Raise AuthenticationFailed if no key is accepted."""
        refused: list[str] = []
        allowed = self._hop.manner.algorithms.get("pubkeyacceptedalgorithms", ())
        _prefer(transport, allowed)
        with closing(_open_agent(self._hop.keys)) as agent:
            for offer in self._offers(agent.get_keys()):
                if allowed and not set(allowed) & set(offer.signatures):
                    self._unusable.append(_left_out(offer, self._hop))
                elif self._accepted(transport, offer, refused):
                    return
                else:
                    refused.append(offer.name)
        raise self._failed(refused)

    def _offers(self, agent_keys: Sequence[PKey]) -> Iterator[_Offer]:
        # By public half: the key of a file that the agent holds must not be offered twice, since sshd counts attempts.
        of_agent = dict(map(_offer_of_agent, agent_keys))
        keys = self._hop.keys
        named = keys.files
        paths = named if named is not None else tuple(Path(usual).expanduser() for usual in _USUAL_FILES)
        for certificate in keys.certificates:
            yield from self._certified(certificate, of_agent, paths)
        for path in named or ():
            held = of_agent.pop(_public_blob(path), None)
            if held is not None:
                yield held
            else:
                yield from self._load(path, expected=True)
        if not keys.only:
            yield from of_agent.values()
        if named is None:
            for path in paths:
                yield from self._load(path, expected=False)

    def _certified(self, file: Path, of_agent: Mapping[bytes, _Offer], paths: Sequence[Path]) -> Iterator[_Offer]:
        """Yield the certificate in a file with the key that the certificate is for, from the agent or a file."""
        try:
            _require_regular(file)
            certificate = PublicBlob.from_file(str(file))
            identity = load_ssh_public_identity(file.read_bytes())
            if not isinstance(identity, SSHCertificate):
                raise ValueError("no certificate")
            blob = _blob_of(identity)
        except (OSError, ValueError, IndexError, UnsupportedAlgorithm):
            self._unusable.append(
                AuthenticationFailed(f"{file} holds no certificate that can be used", hint=f"ssh-keygen -Lf {file}")
            )
            return
        for path in paths:
            if blob not in of_agent and _public_blob(path) in (blob, b""):
                for offer in self._load(path, expected=False):
                    if offer.key.asbytes() == blob:
                        offer.key.public_blob = certificate
                        yield _Offer(offer.key, str(file))
                        return
        if blob in of_agent:
            yield _Offer(_Certified(of_agent[blob].key, certificate), str(file))
            return
        self._unusable.append(
            AuthenticationFailed(f"there is no key for the certificate {file}", hint=f"ssh-keygen -Lf {file}")
        )

    def _load(self, path: Path, *, expected: bool) -> Iterator[_Offer]:
        """Yield the key in a file, or remember why the key cannot be used, for the case that no key is accepted."""
        try:
            _require_regular(path)
            _require_regular(path.with_name(path.name + "-cert.pub"))  # paramiko reads the certificate beside the key
            yield _Offer(_able_to_sign_as_before(PKey.from_path(path)), str(path))
        except (TypeError, PasswordRequiredException):
            self._unusable.append(
                AuthenticationFailed(
                    f"the key {path} is protected by a passphrase", hint=f"have the agent hold it: ssh-add {path}"
                )
            )
        except FileNotFoundError:
            if expected:
                self._unusable.append(
                    AuthenticationFailed(
                        f"there is no key {path}",
                        hint="correct identity_file: in the inventory, or IdentityFile in the ssh configuration",
                    )
                )
        except OSError as error:
            self._unusable.append(
                AuthenticationFailed(f"the key {path} cannot be read: {error.strerror}", hint=f"ls -l {path}")
            )
        except (ValueError, SSHException, UnknownKeyType, UnsupportedAlgorithm):
            self._unusable.append(
                AuthenticationFailed(
                    f"{path} holds no private key that can be used", hint=f"see what it is: ssh-keygen -lf {path}"
                )
            )

    def _accepted(self, transport: Transport, offer: _Offer, refused: Sequence[str]) -> bool:
        """Offer a key, and return False if the device refuses the key.

        Raise AuthenticationFailed if no key can ever do, or Unreachable if the device ends the connection.
        """
        who = f"{self._hop.user} on {self._hop.address}"
        try:
            missing = transport.auth_publickey(self._hop.user, offer.key)
        except BadAuthenticationType as error:
            raise AuthenticationFailed(
                f"{who} may log in by {_listed(error.allowed_types)} only, not with a key",
                hint="allow PubkeyAuthentication in the sshd_config there",
            ) from error
        except EXPECTED as error:
            # A refused key leaves the connection open. Paramiko reports a device that does not answer the same way,
            # but for the text.
            if transport.is_active() and "timeout" not in str(error).lower():
                return False
            if refused:
                raise self._failed([*refused, offer.name], "and the device ended the connection") from error
            raise Unreachable(
                "the device ended the connection while we logged in, or did not answer", hint=_CLOSED_HINT
            ) from error
        if missing:
            raise AuthenticationFailed(
                f"{who} needs more than a key: {_listed(missing)}",
                hint="allow key-only logins for this user in the sshd_config there",
            )
        return True

    def _failed(self, refused: Sequence[str], then: str = "") -> AuthenticationFailed:
        who = f"{self._hop.user} on {self._hop.address}"
        if refused:
            keys = ", ".join(refused)
            also = "".join(f"; {failure.message}" for failure in self._unusable) + self._unused()
            return AuthenticationFailed(
                " ".join(filter(None, (f"{who} refuses the keys offered ({keys})", then))) + also,
                hint="put the public key into that user's ~/.ssh/authorized_keys, or set user: or identity_file: "
                "in the inventory" + (" to the one key to offer" if len(refused) > 1 else "") + _REFUSED_HINT,
            )
        if self._unusable:
            first = self._unusable[0]
            return AuthenticationFailed(f"no key to log in as {who}: {first.message}{self._unused()}", hint=first.hint)
        sources = self._hop.keys
        agent = "no agent is asked" if not sources.agent else f"the agent {sources.socket or ''}".rstrip() + " has none"
        files = "there is none in ~/.ssh" if sources.files is None else "the configuration names no other"
        return AuthenticationFailed(
            f"no key to log in as {who}: {agent}, and {files}{self._unused()}",
            hint="ssh-add a key, or set identity_file: in the inventory",
        )

    def _unused(self) -> str:
        return "".join(f"; {what} cannot be offered" for what in self._hop.keys.unused)


_REFUSED_HINT = (
    "; where the key is there already, sshd's log on the device says why: a locked or expired account, a shell that "
    "does not exist, AllowUsers, or a home that others may write"
)
_CLOSED_HINT = (
    "sshd's log on the device says why: an expired account and /etc/nologin end a login so, and so does a ban"
)


class _NoAgent:
    """Stands in for a missing agent."""

    def get_keys(self) -> tuple[PKey, ...]:
        return ()

    def close(self) -> None:
        return


class _SocketAgent(AgentSSH):
    """The agent behind a socket. Paramiko's own class knows the socket of SSH_AUTH_SOCK alone."""

    def __init__(self, address: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
            cast("Any", self)._connect(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        cast("Any", self)._close()


class _Certified(PKey):
    """A key of the agent with a certificate, which the agent need not hold."""

    def __init__(self, key: PKey, certificate: PublicBlob) -> None:
        self.public_blob = certificate
        self._key = key

    def get_name(self) -> str:
        return self._key.get_name()

    def asbytes(self) -> bytes:
        return self._key.asbytes()

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Message:
        """Have the agent sign as for the plain key."""
        return self._key.sign_ssh_data(data, (algorithm or "").removesuffix(_CERTIFICATE) or None)


def _open_agent(keys: Keys) -> _SocketAgent | _NoAgent:
    """Return the agent to ask, or a stand-in without keys."""
    try:
        if not keys.agent:
            return _NoAgent()
        return _SocketAgent(os.environ.get("SSH_AUTH_SOCK", "") if keys.socket is None else keys.socket)
    except (SSHException, OSError, ValueError):
        return _NoAgent()


def _prefer(transport: Transport, allowed: tuple[str, ...]) -> None:
    """Set the algorithms of signatures. A server that lists none is old, and may know the old name alone."""
    if allowed:
        told = bool(cast("Any", transport).server_extensions.get("server-sig-algs"))
        order = tuple(sorted(allowed, key=lambda name: name != "ssh-rsa" or told))
        transport._preferred_pubkeys = order  # type: ignore[attr-defined]


def _able_to_sign_as_before(key: PKey) -> PKey:
    """Let an RSA key sign by SHA-1 too. Transports ask for that only where the configuration names ssh-rsa."""
    if isinstance(key, RSAKey):
        vars(key)["HASHES"] = {**RSAKey.HASHES, "ssh-rsa": SHA1}
    return key


def _left_out(offer: _Offer, hop: Hop) -> AuthenticationFailed:
    place = hop.manner.places.get("pubkeyacceptedalgorithms", "the ssh configuration")
    return AuthenticationFailed(
        f"{offer.name} is not offered, since PubkeyAcceptedAlgorithms of {place} leaves out {offer.signatures[0]}",
        hint=f"see the list: ssh -G {hop.host}",
    )


def _blob_of(certificate: SSHCertificate) -> bytes:
    """Return the public half of the key that a certificate is for."""
    text = certificate.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def _offer_of_agent(key: PKey) -> tuple[bytes, _Offer]:
    """Return a key of the agent with its public half. A certificate has a public half of its own."""
    blob = getattr(key, "blob", b"")
    if not key.get_name().endswith(_CERTIFICATE):
        return key.asbytes(), _Offer(key, _agent_name(key))
    return blob, _Offer(_Certified(key, PublicBlob(key.get_name(), blob)), _agent_name(key))


def _agent_name(key: PKey) -> str:
    comment = getattr(key, "comment", "") or key.get_name()
    return f"the agent's {comment}"


def _public_blob(path: Path) -> bytes:
    """Return the public half of a key from `PATH.pub`, or from the file itself if the file is public, else b""."""
    for file in (path.with_name(path.name + ".pub"), path):
        try:
            _require_regular(file)
            fields = file.read_text("ascii").split()
            return base64.b64decode(fields[1], validate=True)
        except (OSError, ValueError, IndexError, binascii.Error):
            continue
    return b""


def _require_regular(path: Path) -> None:
    """Raise OSError for a pipe or a device, whose opening or reading may wait for ever."""
    if is_special(path):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _listed(methods: Sequence[str]) -> str:
    return " or ".join(methods) or "nothing"
