"""What paramiko and the system raise, in one line for people."""

from __future__ import annotations

import errno
import socket
import struct

from cryptography.exceptions import InvalidTag
from paramiko.ssh_exception import ChannelException, IncompatiblePeer, SSHException

from orchestrator.domain.errors import NoAnswer, Unreachable
from orchestrator.transport.ssh.route import Hop

_NONSENSE = (ValueError, LookupError, struct.error, InvalidTag)

EXPECTED = (OSError, EOFError, SSHException, *_NONSENSE)
"""All that a connection may raise: what paramiko's parsers raise over nonsense from the other side comes as it is."""

_SILENCE = (ConnectionError, TimeoutError)

_WORDS_MAX = 200


def unreachable(hop: Hop, error: BaseException, waited_s: float, timeout_s: float) -> Unreachable:
    """Say why there is no connection to a hop, given what was raised after how long."""
    timed_out = waited_s >= timeout_s
    reason, hint = _reason(hop, error, timed_out=timed_out, timeout_s=timeout_s)
    no_route = isinstance(error, OSError) and error.errno == errno.EHOSTUNREACH
    if timed_out or no_route or isinstance(error, _SILENCE) or _was_closed(error):
        return NoAnswer(reason, hint=hint)
    return Unreachable(reason, hint=hint)


def words(error: BaseException | None) -> str:
    """Return what an error says of itself, on one line and not long; nothing if it says nothing."""
    if error is None:
        return ""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines()
    printable = "".join(char if char.isprintable() else "?" for char in lines[0].strip()) if lines else ""
    return printable[:_WORDS_MAX].rstrip(".")


def _reason(hop: Hop, error: BaseException, *, timed_out: bool, timeout_s: float) -> tuple[str, str]:
    where = hop.address
    if isinstance(error, socket.gaierror):
        return f"{hop.host} is no known host name ({words(error)})", "correct host: in the inventory, or the DNS"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections", "is sshd running there, and is the port right?"
    if isinstance(error, IncompatiblePeer):
        return f"{where} and we have no algorithm in common: {words(error)}", "update the ssh server there"
    if isinstance(error, ChannelException):
        return (
            f"the jump host cannot reach {where}: {error.text.lower()}",
            "can the jump host itself reach it, and may it forward?",
        )
    if isinstance(error, TimeoutError) or timed_out:
        return f"{where} did not answer within {timeout_s:g} s", "is the device on, and on this network?"
    if _was_closed(error):
        return f"{where} took the connection and closed it", "is that port an ssh server, and not overloaded?"
    if isinstance(error, _NONSENSE):
        return f"{where} sends what is no SSH: {words(error)}", "is that port an ssh server?"
    return f"no connection to {where}: {words(error) or type(error).__name__}", "is the device on, and on this network?"


def _was_closed(error: BaseException) -> bool:
    return isinstance(error, EOFError) or "banner" in str(error) or "No existing session" in str(error)
