"""Reach devices over SSH. No other package imports fabric or paramiko."""

from __future__ import annotations

from orchestrator.transport.settings import TransportSettings
from orchestrator.transport.ssh.connector import SshConnector

__all__ = ["SshConnector", "connector"]


def connector(settings: TransportSettings) -> SshConnector:
    """Return the connector with the given settings."""
    return SshConnector(
        known_hosts=settings.known_hosts,
        ssh_config=settings.ssh_config,
        connect_timeout_s=settings.connect_timeout_s,
    )
