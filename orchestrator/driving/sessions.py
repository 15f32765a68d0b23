"""Launch the sessions of a driver's devices, and pass commands to the sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.conversation import STORED_BYTES_MIN, Cancel, Close, Command, Forget, Stored, new_session
from orchestrator.driving.roster import Roster
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.part import DevicePart
from orchestrator.driving.tools import Handler
from orchestrator.execution.base import Executor, Launch, Listen


class Sessions:
    """Launch sessions and post commands. `listen` gets every report of the sessions.

    `between_trials`: a cancel lets the present trial end.
    """

    def __init__(
        self, run: str, executor: Executor, roster: Roster, listen: Listen, *, between_trials: bool = False
    ) -> None:
        self._run = run
        self._executor = executor
        self._roster = roster
        self._listen = listen
        self._connecting: list[Launch] = []
        self._stored: dict[str, int] = {}  # bytes that the device's session was not told of yet
        self.handlers: Mapping[type[Any], Handler] = {
            o.Connect: lambda part, order: self._connecting.append(self._open(part)),
            o.TellCancel: lambda part, order: self.post(part.name, Cancel(run, between_trials)),
            o.TellForget: self._forget,
            o.TellClose: lambda part, order: self.post(part.name, Close()),
        }

    def connect(self) -> None:
        """Launch every session ordered since the last call, together."""
        # Together, since a gateway on another machine takes a whole fleet in one call.
        launches, self._connecting = self._connecting, []
        if launches:
            self._executor.launch(launches, self._listen)

    def rescue(self, part: DevicePart, order: o.LaunchRescue) -> None:
        """Launch a session with a rescue. Raise OrchestratorError if no session can run."""
        self._executor.launch([self._open(part, order)], self._listen)

    def post(self, device: str, command: Command) -> None:
        """Pass a command to the device's open session. Without a session the command is dropped."""
        session = self._roster.session(device)
        if session is not None:  # an order to close may come for a device whose session has ended
            self._executor.post(session, command)

    def note_stored(self, device: str, size: int) -> None:
        """Count stored bytes of a device, and tell the session of many: a session's reports have an allowance."""
        size += self._stored.pop(device, 0)
        if size >= STORED_BYTES_MIN:
            self.post(device, Stored(size))
        else:
            self._stored[device] = size

    def end(self) -> None:
        """Close every open session, and wait for the ends."""
        self._executor.end(self._roster.sessions)

    def _open(self, part: DevicePart, order: o.LaunchRescue | None = None) -> Launch:
        session = new_session(self._run, part.name)
        self._roster.open_session(session)
        return Launch(session, part.device, order.rescue if order else None)

    def _forget(self, part: DevicePart, order: o.TellForget) -> None:
        offset = order.offset
        self.post(part.name, Forget(self._run, offset.log_id or "", offset.last_seq, and_close=order.and_close))
