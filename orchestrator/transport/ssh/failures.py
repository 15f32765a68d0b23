"""Translate the exceptions of paramiko and the system into errors with a line and a hint for people."""

from __future__ import annotations

import errno
import socket
import struct

from cryptography.exceptions import InvalidTag
from paramiko.ssh_exception import ChannelException, IncompatiblePeer, SSHException

from orchestrator.domain.errors import NoAnswer, Unreachable
from orchestrator.transport.ssh.algorithms import BY_REQUEST, NothingInCommon
from orchestrator.transport.ssh.route import Hop

_NONSENSE = (ValueError, LookupError, struct.error, InvalidTag)

EXPECTED = (OSError, EOFError, SSHException, *_NONSENSE)
"""All exceptions of a connection. Paramiko's parsers let their own errors through for nonsense from the other side."""

_SILENCE = (ConnectionError, TimeoutError)

_DROPS_HINT = (
    "is that port an ssh server? one that is busy drops connections: raise MaxStartups in its sshd_config; "
    "one that bans this address (fail2ban, hosts.deny) does so too"
)

_ALGORITHMS_HINT = "docs/ssh.md has what benchfleet lacks; `ssh -vv` to the host shows the lists of the server"

_NO_NAME_HINT = "correct host: in the inventory, or the DNS; is it a name of a VPN that is off, or .local without mDNS?"

_SILENCE_HINT = "is the device on, and does this machine reach its network (cable, VPN, firewall)?"

_OWN_SIDE = {
    # Errors that the kernel of this machine gives before a packet has left.
    errno.ENETUNREACH: "this machine has no way into that network: is its own link, or its VPN, up?",
    errno.ENETDOWN: "the network of this machine is down",
    errno.EADDRNOTAVAIL: "this machine has no address, or no free port, for the connection",
    errno.EMFILE: "this process may not open more files: ulimit -n",
    errno.ENFILE: "this machine has too many files open",
    errno.EPERM: "a firewall of this machine forbids the connection",
    errno.EACCES: "a firewall of this machine forbids the connection",
}

_WORDS_MAX = 200

_LIST_MAX = 1000


def unreachable(hop: Hop, error: BaseException, waited_s: float, timeout_s: float) -> Unreachable:
    """Return the error for a failed connection to a hop: NoAnswer for silence, otherwise Unreachable.

    `waited_s` is the time of waiting for the hop before `error` was raised.
    """
    timed_out = waited_s >= timeout_s
    reason, hint = _reason(hop, error, timed_out=timed_out, timeout_s=timeout_s)
    # The kernel's word where nothing answers ARP: a board without power looks like this in its own network.
    no_route = isinstance(error, OSError) and error.errno == errno.EHOSTUNREACH
    if timed_out or no_route or isinstance(error, _SILENCE) or _was_closed(error):
        return NoAnswer(reason, hint=hint)
    return Unreachable(reason, hint=hint)


def was_dropped(error: BaseException) -> bool:
    """Say whether an error tells of a connection that the other side accepted and closed."""
    # By its words too, since paramiko raises a plain SSHException for a missing banner.
    closed = isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | EOFError)
    return closed or "Error reading SSH protocol banner" in str(error)


def words(error: BaseException | None) -> str:
    """Return an error's text on a single short line, or "" if the error has no text."""
    if error is None:
        return ""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines()
    # The text may be the other side's own, with control characters for a terminal.
    printable = "".join(char if char.isprintable() else "?" for char in lines[0].strip()) if lines else ""
    return printable[:_WORDS_MAX].rstrip(".")


def _reason(hop: Hop, error: BaseException, *, timed_out: bool, timeout_s: float) -> tuple[str, str]:
    where = hop.address
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return f"{hop.host} cannot be looked up now ({words(error)})", "does this machine's own network and DNS work?"
    if isinstance(error, socket.gaierror):
        return f"{hop.host} is no known host name ({words(error)})", _NO_NAME_HINT
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections", "is sshd running there (still booting?), and is the port right?"
    if isinstance(error, NothingInCommon):
        return _nothing_in_common(hop, error)
    if isinstance(error, IncompatiblePeer):
        return f"{where} and we have no algorithm in common: {words(error)}", _ALGORITHMS_HINT
    if isinstance(error, ChannelException):
        return (
            f"the jump host cannot reach {where}: {error.text.lower()}",
            "can the jump host itself reach it, and may it forward?",
        )
    if isinstance(error, TimeoutError) or timed_out:
        return f"{where} did not answer within {timeout_s:g} s", _SILENCE_HINT
    if _was_closed(error) or was_dropped(error):
        return f"{where} took the connection and closed it", _DROPS_HINT
    if isinstance(error, _NONSENSE):
        return f"{where} does not speak SSH: {words(error)}", "is that port an ssh server?"
    reason = f"no connection to {where}: {words(error) or type(error).__name__}"
    return reason, _OWN_SIDE.get(getattr(error, "errno", None) or 0, _SILENCE_HINT)


def _nothing_in_common(hop: Hop, error: NothingInCommon) -> tuple[str, str]:
    """Return reason and hint with the lists of both sides, and the line that keeps our list short."""
    keyword, option = error.option.lower(), error.option
    place = hop.manner.places.get(keyword, "the ssh configuration")
    ours = f"{option} of {place} leaves us" if keyword in hop.manner.algorithms else "benchfleet has"
    reason = f"{hop.address} offers no {option} that we may use: {_listed(error.theirs)}; {ours} {_listed(error.ours)}"
    old = [name for name in error.theirs if name in BY_REQUEST.get(keyword, ())]
    if old:
        return reason, f"update the ssh server there, or allow what is old: {option} +{old[0]} in the ssh configuration"
    if keyword in hop.manner.algorithms:
        return reason, f"allow one of the server's in {option} of the ssh configuration, or another on the server"
    server = {"HostKeyAlgorithms": "HostKey"}.get(option, option)
    return reason, f"allow one of benchfleet's as well in the sshd_config there: {server}"


def _listed(names: tuple[str, ...]) -> str:
    """Return names for a message. The names may be the other side's own, with anything in the names."""
    text = ", ".join("".join(char if char.isprintable() else "?" for char in name) for name in names)
    return text[:_LIST_MAX] or "nothing"


def _was_closed(error: BaseException) -> bool:
    return isinstance(error, EOFError) or "banner" in str(error) or "No existing session" in str(error)
