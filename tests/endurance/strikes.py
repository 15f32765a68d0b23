"""What goes wrong in the lab: each fault waits for the work that it is to strike, strikes, and is put right again."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.device import ChaosDevice
from tests.endurance.room import DAEMONS, LARGE_BYTES, Room
from tests.endurance.timeline import Timeline
from tests.endurance.timetable import PEOPLE, Fault, Kind, Strike, Submit
from tests.endurance.watcher import Watcher
from tests.servers import processes

_STEP_S = 120.0
_AT_WORK = """\
SELECT 1 FROM attempt a JOIN trial t ON t.id = a.trial_id JOIN run_device r ON r.id = t.run_device_id
JOIN device d ON d.id = r.device_id JOIN submission s ON s.run_id = r.run_id JOIN daemon m ON m.id = s.daemon_id
WHERE a.outcome IS NULL AND s.state = 'running' AND {condition}"""
_LARGE = f"stored_blob b JOIN blob_chunk c ON c.sha256 = b.sha256 WHERE b.size_bytes = {LARGE_BYTES}"


@dataclass
class Striker:
    """Lets faults happen. `taken` gets what the person of a cut submission submits again."""

    room: Room
    timeline: Timeline
    watcher: Watcher
    chances: random.Random
    taken: Callable[[Submit], None]

    def is_ready(self, strike: Strike) -> bool:
        """Return True once there is something to strike, and what was struck before is back."""
        if not self._are_daemons_up():
            # A daemon that begins while the database is away ends with an error, and is for a service manager to start.
            return False
        match strike.fault:
            case Fault.DAEMON_KILLED:
                return bool(self._daemons_at_work())
            case Fault.GATEWAY_KILLED:
                return self._is_at_work(f"d.name LIKE '{strike.site}-%'") and bool(self.room.gateways())
            case Fault.RAYLET_KILLED | Fault.SITE_CUT:
                return self._is_at_work(f"d.name LIKE '{strike.site}-%'")
            case Fault.DATABASE_AWAY:
                return self._is_at_work("TRUE")
            case Fault.SUBMISSION_CUT:
                return True

    def strike(self, strike: Strike) -> Callable[[], None] | None:
        """Let a fault strike. Return what puts it right, or None where that is done."""
        match strike.fault:
            case Fault.DAEMON_KILLED:
                return self._kill_daemon()
            case Fault.GATEWAY_KILLED:
                return self._kill_gateway()
            case Fault.RAYLET_KILLED:
                return self._kill_raylet(strike.site)
            case Fault.SITE_CUT:
                return self._cut_site(strike.site)
            case Fault.DATABASE_AWAY:
                return self._take_database()
            case Fault.SUBMISSION_CUT:
                return self._cut_submission()

    def is_patient_at_work(self, run: str) -> bool:
        """Return True once a trial of a run has begun, and the run goes on."""
        return self._is_at_work(f"s.run_id = '{run}'")

    def _is_at_work(self, condition: str) -> bool:
        return bool(self.room.database.rows(_AT_WORK.format(condition=condition)))

    def _are_daemons_up(self) -> bool:
        rows = self.room.database.rows("SELECT controller FROM daemon WHERE ended_at IS NULL")
        return {f"pid {self.room.pid_of(number)}" for number in range(DAEMONS)} <= {row[0] for row in rows}

    def _daemons_at_work(self) -> list[int]:
        return [
            number
            for number in range(DAEMONS)
            if not self.room.has_daemon_ended(number)
            and self._is_at_work(f"m.ended_at IS NULL AND m.controller = 'pid {self.room.pid_of(number)}'")
        ]

    def _kill_daemon(self) -> Callable[[], None] | None:
        found = self._daemons_at_work()
        if not found:
            self._missed()
            return None
        number = self.chances.choice(found)
        self.timeline.tell(
            f"FAULT daemon {number} (pid {self.room.pid_of(number)}) gets SIGKILL in the middle of a run"
        )
        self.room.kill_daemon(number)

        def again() -> None:
            self.room.start_daemon(number)
            self.timeline.tell(f"daemon {number} is started again")

        return again

    def _kill_gateway(self) -> Callable[[], None] | None:
        found = self.room.gateways()
        if not found:
            self._missed()
            return None
        pid = self.chances.choice(found)
        self.timeline.tell(f"FAULT the gateway with the pid {pid} gets SIGKILL")
        processes.kill([pid])
        return lambda: None

    def _kill_raylet(self, site: str) -> Callable[[], None]:
        self.timeline.tell(f"FAULT the raylet of {site} gets SIGKILL")
        self.room.raylets.kill(site)

        def add() -> None:
            self.room.raylets.add(site)
            self.timeline.tell(f"another raylet is at {site}")

        return add

    def _cut_site(self, site: str) -> Callable[[], None]:
        self.timeline.tell(f"FAULT no byte passes between {site} and its gateway")
        for device in self._devices_at(site):
            device.relay.blackhole()

        def join() -> None:
            for device in self._devices_at(site):
                device.relay.cut()
                device.relay.restore()
            self.timeline.tell(f"{site} is reached again")

        return join

    def _devices_at(self, site: str) -> list[ChaosDevice]:
        return [device for name, device in self.room.devices.items() if name.startswith(f"{site}-")]

    def _take_database(self) -> Callable[[], None]:
        self.timeline.tell("FAULT the database server stops")
        self.room.database.take_away()

        def bring() -> None:
            self.room.database.bring_back()
            self.timeline.tell("the database server is back")

        return bring

    def _cut_submission(self) -> Callable[[], None] | None:
        """Kill a submission between its first and its last chunk: a lock keeps the rest from coming meanwhile."""
        import psycopg

        event = Submit(0.0, "large-cut", self.chances.choice(PEOPLE), Kind.LARGE, "oslo-2")
        command = self.room.start_submit(event)
        url = self.room.database.url.replace("+psycopg", "")
        with psycopg.connect(url) as other:
            processes.wait_until(
                lambda: self._chunks() > 0 or command.poll() is not None, "the first chunk is there", _STEP_S
            )
            other.execute("LOCK TABLE blob_chunk IN SHARE MODE")
            command.send_signal(signal.SIGKILL)
            command.wait()
        there = self._chunks()
        is_cut = 0 < there < LARGE_BYTES >> 20
        queued = self.room.database.rows("SELECT 1 FROM submission WHERE name = 'large-cut'")
        self.timeline.tell(f"FAULT a submission gets SIGKILL with {there} of {LARGE_BYTES >> 20} chunks sent")
        if not is_cut or queued:
            raise AssertionError(f"{there} chunks are there, and the queue has {len(queued)} of what was cut")
        self.taken(event)
        return lambda: None

    def _chunks(self) -> int:
        (row,) = self.room.database.rows(f"SELECT COUNT(*) FROM {_LARGE}")
        return int(row[0])

    def _missed(self) -> None:
        self.timeline.tell("what was to be struck has just gone: another one is waited for")
