"""SSH: the only package that knows fabric and paramiko, imported when a device first needs it."""

from __future__ import annotations

from orchestrator.transport.settings import TransportSettings
from orchestrator.transport.ssh.connector import SshConnector

__all__ = ["SshConnector", "connector"]


def connector(settings: TransportSettings) -> SshConnector:
    """Return the connector with these settings."""
    return SshConnector(
        known_hosts=settings.known_hosts,
        ssh_config=settings.ssh_config,
        connect_timeout_s=settings.connect_timeout_s,
    )
