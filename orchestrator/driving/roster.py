"""Keep the parts and sessions of a driver, and queue the changes: no question here looks at every device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.domain.conversation import SessionId, SessionReport
from orchestrator.driving.stages.part import WITHOUT_SESSION, DevicePart, Hold, Stage
from orchestrator.driving.witnesses import Witnesses


class Roster:
    """Hold parts and sessions by device. `going_on` counts the parts without an end."""

    def __init__(self, witnesses: Witnesses) -> None:
        self._witnesses = witnesses
        self._parts: dict[str, DevicePart] = {}
        self._sessions: dict[str, SessionId] = {}
        self._ended: list[str] = []  # since the last call of `take_ended`
        self._stranded: dict[str, None] = {}  # a set that keeps the order
        self._newly_stranded: list[str] = []
        self.going_on = 0

    def enter(self, parts: Iterable[DevicePart]) -> None:
        """Add parts in the first stage."""
        for part in parts:
            self._parts[part.name] = part
            self.going_on += 1

    def __getitem__(self, device: str) -> DevicePart:
        return self._parts[device]

    @property
    def taken_over(self) -> frozenset[str]:
        """Return the devices taken over by another controller."""
        return frozenset(name for name, part in self._parts.items() if part.hold is Hold.LOST)

    def move(self, part: DevicePart) -> None:
        """Replace a device's part after an event, and count and queue the change of stage."""
        before, self._parts[part.name] = self._parts[part.name], part
        if before.stage is part.stage:
            return
        if part.ended:
            self.going_on -= 1
            self._ended.append(part.name)
        if part.stage is Stage.STRANDED:
            self._stranded[part.name] = None
            self._newly_stranded.append(part.name)
        elif before.stage is Stage.STRANDED:
            del self._stranded[part.name]
        # Counted here rather than asked of every part: a step must not look at devices that have not changed.
        had, has = (stage not in WITHOUT_SESSION for stage in (before.stage, part.stage))
        if had != has:
            self._witnesses.count(part.device, 1 if has else -1)

    def take_ended(self) -> Sequence[str]:
        """Return the devices ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def take_stranded(self, *, every: bool) -> Sequence[str]:
        """Return the devices stranded since the last call. With `every` return every stranded device."""
        newly, self._newly_stranded = self._newly_stranded, []
        return list(self._stranded) if every else [name for name in newly if name in self._stranded]

    @property
    def sessions(self) -> Sequence[SessionId]:
        """Return the open sessions."""
        return list(self._sessions.values())

    def open_session(self, session: SessionId) -> None:
        """Make a session the device's present session."""
        self._sessions[session.device] = session

    def session(self, device: str) -> SessionId | None:
        """Return a device's open session, or None without an open session."""
        return self._sessions.get(device)

    def end_session(self, device: str) -> None:
        """Forget a device's session: later reports of the session are not heard."""
        self._sessions.pop(device, None)

    def is_present(self, arrived: SessionReport) -> bool:
        """Say whether a report comes from the device's present session."""
        return self._sessions.get(arrived.session.device) == arrived.session
