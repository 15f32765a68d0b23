"""Log in with a key: choose the keys to offer, their order, and the error if no key is accepted."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from paramiko import Agent, PKey, Transport
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import (
    BadAuthenticationType,
    PasswordRequiredException,
    SSHException,
)

from orchestrator.domain.errors import AuthenticationFailed, Unreachable
from orchestrator.specs.paths import is_special
from orchestrator.transport.ssh.failures import EXPECTED
from orchestrator.transport.ssh.route import Hop

_USUAL_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True, slots=True)
class _Offer:
    """A key, with a name for messages."""

    key: PKey
    name: str


class Login:
    """Offers keys until a key is accepted. Offers no password, and never forwards the agent.

    The identity_file of a device is the only key offered. Otherwise the order is ssh's: the keys of the configuration,
    then the agent's other keys, then the usual files if the configuration names no key. A key that the agent holds is
    used through the agent.
    """

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._unusable: list[AuthenticationFailed] = []

    def authenticate(self, transport: Transport) -> None:
        """Log in over a connection with a trusted host key. Raise AuthenticationFailed if no key is accepted."""
        refused: list[str] = []
        with closing(_open_agent()) as agent:
            for offer in self._offers(agent.get_keys() if self._hop.agent else ()):
                if self._accepted(transport, offer, refused):
                    return
                refused.append(offer.name)
        raise self._failed(refused)

    def _offers(self, agent_keys: Sequence[PKey]) -> Iterator[_Offer]:
        # By public half: the key of a file that the agent holds must not be offered twice, since sshd counts attempts.
        of_agent = {key.asbytes(): _Offer(key, _agent_name(key)) for key in agent_keys}
        named = self._hop.identity_files
        for path in named or ():
            held = of_agent.pop(_public_blob(path), None)
            if held is not None:
                yield held
            else:
                yield from self._load(path, expected=True)
        if not self._hop.identities_only:
            yield from of_agent.values()
        if named is None:
            for usual in _USUAL_FILES:
                yield from self._load(Path(usual).expanduser(), expected=False)

    def _load(self, path: Path, *, expected: bool) -> Iterator[_Offer]:
        """Yield the key in a file, or remember why the key cannot be used, for the case that no key is accepted."""
        try:
            _require_regular(path)
            _require_regular(path.with_name(path.name + "-cert.pub"))  # paramiko reads the certificate beside the key
            yield _Offer(PKey.from_path(path), str(path))
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
                hint="allow PubkeyAuthentication in the device's sshd_config",
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
                hint="allow key-only logins for this user in the device's sshd_config",
            )
        return True

    def _failed(self, refused: Sequence[str], then: str = "") -> AuthenticationFailed:
        who = f"{self._hop.user} on {self._hop.address}"
        if refused:
            keys = ", ".join(refused)
            also = "".join(f"; {failure.message}" for failure in self._unusable)
            return AuthenticationFailed(
                " ".join(filter(None, (f"{who} refuses the keys offered ({keys})", then))) + also,
                hint="put the public key into that user's ~/.ssh/authorized_keys, or set user: or identity_file: "
                "in the inventory" + (" to the one key to offer" if len(refused) > 1 else "") + _REFUSED_HINT,
            )
        if self._unusable:
            first = self._unusable[0]
            return AuthenticationFailed(f"no key to log in as {who}: {first.message}", hint=first.hint)
        return AuthenticationFailed(
            f"no key to log in as {who}: the agent has none, and there is none in ~/.ssh",
            hint="ssh-add a key, or set identity_file: in the inventory",
        )


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


def _open_agent() -> Agent | _NoAgent:
    """Return the user's agent, or a stand-in without keys."""
    # Try the socket first: without an agent behind, paramiko would leak a socket.
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(os.environ.get("SSH_AUTH_SOCK", ""))
        return Agent()
    except (SSHException, OSError):
        return _NoAgent()


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
