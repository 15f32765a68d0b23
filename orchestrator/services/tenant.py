"""Say who this controller is to everybody else who wants the same devices."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass

LEASE_S = 60.0
TEXT_MAX = 200
"""Devices take no longer names."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A holder of leases and how it takes them.

    `holder` is the person, user@host; `controller` this process. A lease lasts `lease_s` unless it is renewed. `waits`:
    queue for what is in use. `reservation`: the id of one that this controller may use, whoever holds it.
    """

    holder: str
    controller: str
    lease_s: float = LEASE_S
    waits: bool = False
    reservation: int | None = None


def this_controller(lease_s: float = LEASE_S, *, waits: bool = False, reservation: int | None = None) -> Tenant:
    """Return the tenant that this process is."""
    holder = f"{_user()}@{socket.gethostname()}"
    shown = "".join(char if char.isprintable() else "?" for char in holder)[:TEXT_MAX]
    return Tenant(shown, f"pid {os.getpid()}", lease_s, waits, reservation)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
