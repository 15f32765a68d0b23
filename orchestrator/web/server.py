"""Run the page on an address until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable

import uvicorn

from orchestrator.domain.errors import ConfigError
from orchestrator.services.pages.base import PageWiring
from orchestrator.web.access import Access
from orchestrator.web.app import create_app

_CONNECTIONS_WAITING = 512
"""Connections that the kernel keeps for a busy server: a whole lab may reload at once."""
_ENDING_S = 3


def serve(wiring: PageWiring, access: Access, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM. `on_ready` gets the address. Port 0 takes a free one.

    Raise ConfigError for an address that cannot be listened at.
    """
    # Before uvicorn: a taken port is an error with a hint, and the address of port 0 is known.
    listener = _listener(access.host, port)
    with listener:
        bound = listener.getsockname()[1]
        shown = f"[{access.host}]" if ":" in access.host else access.host
        config = uvicorn.Config(
            create_app(wiring, access),
            log_level="warning",
            access_log=False,
            server_header=False,
            # A proxy's word about addresses is of no use here: names of people come by the declared header alone.
            proxy_headers=False,
            timeout_graceful_shutdown=_ENDING_S,
            lifespan="on",
        )
        on_ready(f"http://{shown}:{bound}/")
        # Ctrl-C and SIGTERM are how the page ends: uvicorn raises the signal again once all is closed.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Otherwise a restarted server waits a minute for what TCP remembers of its connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_CONNECTIONS_WAITING)
    except (OSError, OverflowError) as error:
        listener.close()
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{host}:{port} cannot be listened at: {said}", _remedy(error, port)) from None
    return listener


def _remedy(error: Exception, port: int) -> str:
    """Say which of host and port is to blame."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror) or number in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return "choose another --host: an address of this machine"
    if number == errno.EADDRINUSE:
        return "another program, or an earlier benchfleet serve, has that port: end it, or choose another --port"
    if number in {errno.EACCES, errno.EPERM} and port < 1024:
        return "ports below 1024 are the system's: choose another --port"
    return "choose another --port or --host"
