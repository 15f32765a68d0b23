"""A lab of two sites: a Ray cluster with a raylet at each, four boards behind sshd at each, PostgreSQL, and daemons."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.databases import PostgresDatabase
from tests.chaos.device import ChaosDevice
from tests.chaos.witness import write_program
from tests.databases import PostgresDatabases
from tests.endurance.timetable import DEVICES, NEEDED, SITES, TRIALS_S, Hours, Kind, Regular, Submit, Timetable
from tests.lab import Lab
from tests.servers import processes
from tests.servers.postgres import PostgresServer
from tests.servers.raylets import Raylets

DAEMONS = 2
LARGE_BYTES = 24 << 20
_STAMP_S = 0.1
_LOOK_S = 0.05
"""Eight boards for an hour: seen often enough, and no more often, since they share processors with what is tested."""
_COMMAND_S_MAX = 180.0


class EnduranceLab(Lab):
    """The folder of the daemons, and of people: each person is a user of that name."""

    def __init__(self, directory: Path, url: str, lease_s: float) -> None:
        super().__init__(directory)
        self._own = {
            "BENCHFLEET_DB": url,
            "BENCHFLEET_LEASE_S": str(lease_s),
            "BENCHFLEET_HEARTBEAT_S": "1",
            "BENCHFLEET_CONNECT_TIMEOUT_S": "10",
            "BENCHFLEET_CACHE_DIR": str(directory / "cache"),
            "RAY_AUTH_MODE": "disabled",
        }

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self._own}


class Room:
    """Everything that is there while a timetable is carried out. `begin` starts it, `close` ends all of it."""

    def __init__(self, folder: Path, timetable: Timetable, lease_s: float) -> None:
        self._timetable = timetable
        self._stack = ExitStack()
        self._starts = 0
        self._folder = folder
        self._daemons: list[subprocess.Popen[str] | None] = [None] * DAEMONS
        self.server = PostgresServer(folder)
        self._lease_s = lease_s

    def begin(self) -> None:
        """Start servers, cluster and daemons."""
        self._stack.enter_context(self.server)
        url = PostgresDatabases(self.server).migrated()
        self.database = PostgresDatabase(self.server, url, None)
        self.lab = EnduranceLab(self._folder / "lab", url, self._lease_s)
        self.devices = {name: ChaosDevice(name, self._folder / name, self._stack, look_s=_LOOK_S) for name in DEVICES}
        for name, device in self.devices.items():
            device.declare(self.lab, site=name.partition("-")[0])
        for kind in Kind:
            self._write_sweep(kind)
        self.began_at = datetime.now(UTC)
        self._write_windows()
        self.raylets = self._stack.enter_context(Raylets(SITES, self.lab.environment))
        for number in range(DAEMONS):
            self.start_daemon(number)

    def close(self) -> None:
        """End everything."""
        for process in self._daemons:
            if process is not None:
                process.kill()
                process.wait()
        self._stack.close()

    def moment(self, minutes: float) -> datetime:
        """Return the whole minute so long after the beginning: windows have no seconds."""
        return (self.began_at + timedelta(minutes=minutes)).replace(second=0, microsecond=0) + timedelta(minutes=1)

    # People.

    def submit(self, event: Submit) -> dict[str, Any]:
        """Let a person submit, and return the submission."""
        window = ["--window", event.window] if event.window else []
        need = event.kind is Kind.NEEDY
        select = [] if need else ["--select", event.select]
        words = [f"{event.kind}.yaml", "--name", event.name, "--priority", str(event.priority)]
        made: dict[str, Any] = self._told(event.person, "submit", *words, *select, *window)
        return made

    def start_submit(self, event: Submit) -> subprocess.Popen[str]:
        """Begin to submit, as a process that can be cut off."""
        words = [f"{event.kind}.yaml", "--name", event.name, "--select", event.select]
        return self.lab.start("submit", *words, environment={"LOGNAME": event.person})

    def add_schedule(self, regular: Regular) -> dict[str, Any]:
        """Let a person add a schedule."""
        words = ["--cron", regular.cron, "--zone", regular.zone, "--name", regular.name, "--overlap", "queue"]
        words = ["regular.yaml", *words, "--select", regular.select]
        made: dict[str, Any] = self._told(regular.person, "schedule", "add", *words)
        return made

    def ask(self, *words: str) -> Any:
        """Return what a command answers."""
        return self._told("anna", *words)

    def _told(self, person: str, *words: str) -> Any:
        done = self.lab.run(*words, "--json", timeout_s=_COMMAND_S_MAX, environment={"LOGNAME": person})
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)} of {person} ended with {done.returncode}:\n{done.stderr}")
        return json.loads(done.stdout)

    # Daemons.

    def start_daemon(self, number: int) -> None:
        """Start a daemon, also in the place of one that has gone."""
        self._starts += 1
        words = ["daemon", "--executor", "ray", "--ray-address", self.raylets.address]
        with (self._folder / f"daemon-{number}-{self._starts}.txt").open("w") as said:
            self._daemons[number] = self.lab.start(*words, stdout=said, stderr=said)

    def kill_daemon(self, number: int) -> None:
        """End a daemon by SIGKILL."""
        process = self._daemons[number]
        assert process is not None
        process.kill()
        process.wait()

    def stop_daemons(self) -> list[int]:
        """Ask all daemons to end, and return their exit codes."""
        there = [process for process in self._daemons if process is not None]
        for process in there:
            process.terminate()
        return [process.wait(60) for process in there]

    def has_daemon_ended(self, number: int) -> bool:
        """Return True for a daemon that has ended by itself, which none should."""
        process = self._daemons[number]
        return process is not None and process.poll() is not None

    def pid_of(self, number: int) -> int:
        """Return the process number of a daemon."""
        process = self._daemons[number]
        assert process is not None
        return process.pid

    def daemons_said(self) -> list[tuple[str, str]]:
        """Return by daemon what it said."""
        return [(path.stem, path.read_text()) for path in sorted(self._folder.glob("daemon-*.txt"))]

    # Gateways.

    def gateways(self) -> list[int]:
        """Return the processes of gateways that carry a job out."""
        below = processes.descendants(self.raylets.pid)
        # The kernel keeps fifteen letters of a name.
        return [pid for pid in below if processes.name(pid).startswith("ray::SiteGatewa")]

    # Files.

    def _write_sweep(self, kind: Kind) -> None:
        program = self.lab.directory / f"{kind}.py"
        command = write_program(program, TRIALS_S[kind], stamp_s=_STAMP_S)
        files = [program.name]
        if kind is Kind.LARGE:
            (self.lab.directory / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE_BYTES >> 20))
            files.append("large.bin")
        runtime = {"exec": {"name": "witness", "command": command, "files": files}}
        fields: dict[str, Any] = {"preemptible": True} if kind is Kind.PATIENT else {}
        if kind is Kind.NEEDY:
            fields["devices"] = {"select": "all", "count": NEEDED, "spread": True}
        self.lab.write_exec_sweep(name=kind, runtimes=[runtime], trials=len(TRIALS_S[kind]), **fields)

    def _write_windows(self) -> None:
        tables = [self._window(window) for window in self._timetable.windows]
        self.lab.write("benchfleet.toml", "\n".join(tables))

    def _window(self, window: Hours) -> str:
        opens, closes = self.moment(window.opens_min), self.moment(window.closes_min)
        lines = [f"[windows.{window.name}]", f'hours = "{opens:%H:%M}-{closes:%H:%M}"', 'zone = "UTC"']
        lines += [f'select = "{window.select}"'] if window.select else []
        lines += [f'users = ["{window.person}"]'] if window.person else []
        return "\n".join([*lines, ""])
