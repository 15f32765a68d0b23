"""Give each simulated device an address of loopback, one after the other."""

from __future__ import annotations

import ipaddress

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_FIRST = ipaddress.IPv4Address("127.1.0.1")


def address_of(number: int) -> str:
    """Return the address of the device with a number, from 0 on."""
    return str(_FIRST + number)
