"""Tell a failing device from a failing network, by the answers of the run's other devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from orchestrator.domain.device import Device
from orchestrator.driving.stages.events import Network
from orchestrator.driving.stages.part import DevicePart


class Witnesses:
    """Remember the last two answering networked devices, and count the networked sessions.

    `remote_of_run` returns the names of the run's networked devices, including devices of other commands.
    """

    def __init__(self, remote_of_run: Callable[[], Collection[str]]) -> None:
        self._remote_of_run = remote_of_run
        self._remote: Collection[str] | None = None
        self._active = 0
        # Two are enough: whether any device but the stranded one has answered since is one comparison.
        self._latest = ("", -math.inf)
        self._latest_other = ("", -math.inf)
        self._has_news = False

    def hear(self, device: Device, at: float) -> None:
        """Note an answer of a device, at a time in seconds."""
        if not device.transport.is_remote:  # this machine answers whatever becomes of the network
            return
        if self._latest[0] != device.name:
            self._latest_other = self._latest
        self._latest = (device.name, at)
        self._has_news = True

    def count(self, device: Device, change: int) -> None:
        """Count a session at the begin (1) or end (-1)."""
        if device.transport.is_remote:
            self._active += change

    def take_news(self) -> bool:
        """Say whether stranded devices are to be looked at again."""
        # Without a session no news can come any more: silence is then an answer too.
        news, self._has_news = self._has_news or self._active == 0, False
        return news

    def network(self, part: DevicePart) -> Network:
        """Return the state of the network by the other devices, since a device was stranded."""
        _, heard_at = self._latest_other if self._latest[0] == part.name else self._latest
        if heard_at > part.stranded_at:
            return Network.WITNESSED
        if self._active > 0:  # a stranded device has no session, and is not counted itself
            return Network.UNDECIDED
        if self._remote is None:  # once, since the devices of a run never change
            self._remote = frozenset(self._remote_of_run())
        return Network.ALONE if self._remote == {part.name} else Network.SILENT
