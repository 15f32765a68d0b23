"""Declare the sender of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.domain.message import Delivery, Message, Recipient


class Messenger(Protocol):
    """Send messages. No failure of a service raises an exception."""

    def refuse_bad(self, recipients: Sequence[Recipient]) -> None:
        """Raise ConfigError for an address without a service. No message is sent."""

    def send(self, messages: Sequence[Message], recipients: Sequence[Recipient]) -> Sequence[Delivery]:
        """Send every message to every recipient, and return a delivery for each. No text holds an address."""
