"""Ports for test servers that stop and start again on the same one."""

import random
import socket

# Below every system's range of ephemeral ports. A port inside it could go to some client's outgoing
# connection while the server is down; and a client that retries on loopback could even connect to itself.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 50


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on now. It isn't reserved: be ready to ask for another one."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {_FIRST} to {_LAST} on {host}, in {_TRIES} tries")
