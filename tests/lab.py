"""A lab in a folder: inventory, sweeps and the real `benchfleet` command, as a user would have them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from orchestrator.domain.device import USUAL_LIMITS
from tests.machines import played_machine
from tests.servers import processes
from tests.servers.commands import Command, command_server

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_CACHE = REPOSITORY / ".cache" / "tests" / "controller"
"""Runtime bundles are tens of megabytes: all tests of a checkout share what one of them downloaded."""

WAIT_S = 60.0

OK_PROGRAM = """\
echo '{"runtime": {"name": "shell", "version": "1"}}'
echo '{"metric": "latency_ns", "samples": [1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700]}'
echo '{"done": true}'
"""


class Lab:
    """Writes files below `directory` and runs the command there, with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        self.devices: dict[str, dict[str, Any]] = {}
        self._machine: list[str] = []
        self.database = directory / "benchfleet.db"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the command sees: this checkout's code, nothing of the developer's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BENCHFLEET_")}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "BENCHFLEET_CACHE_DIR": str(SHARED_CACHE),
            "BENCHFLEET_MODELS": str(REPOSITORY / "models"),
            "PYTHONPATH": str(REPOSITORY),
        }

    def move_to_own_machine(self) -> None:
        """Run commands on a played machine of the lab's own: its local devices can then be exclusive."""
        self._machine = played_machine(self.directory / "boot_id")

    def state_dir(self, name: str) -> Path:
        """Return the state folder of a device."""
        return self.directory / "devices" / name

    def add_local(self, name: str, **fields: Any) -> None:
        """Declare a device that is this machine, with a state folder of its own."""
        self._add(name, {"transport": "local", **fields})

    def add_node(self, name: str, **fields: Any) -> None:
        """Declare a device that is a node of a Ray cluster: the node that has the device's name as its label `host`."""
        self._add(name, {"transport": "ray", "node": {"host": name}, "python": sys.executable, **fields})

    def add_ssh(self, name: str, server: Any, **fields: Any) -> None:
        """Declare a device behind a real sshd (tests.servers.sshd.SshServer)."""
        reach = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "identity_file": str(server.identity_file),
            "python": sys.executable,
        }
        self._add(name, {**reach, **fields})

    def trust(self, server: Any, host: str | None = None, port: int | None = None) -> None:
        """Put a server's host key on record, as enrolling does; `host` and `port` where it is reached by others."""
        line = str(server.known_hosts_line)
        if host is not None:
            line = f"[{host}]:{port} " + line.split(" ", 1)[1]
        path = self.home / ".config" / "benchfleet" / "known_hosts"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(line.rstrip("\n") + "\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the lab."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_exec_sweep(self, program: str = OK_PROGRAM, name: str = "sweep", **fields: Any) -> Path:
        """Write a sweep whose one runtime is a shell program."""
        self.write(f"{name}.sh", program)
        runtime = {"exec": {"name": "shell", "command": ["sh", f"{name}.sh"], "files": [f"{name}.sh"]}}
        document = {
            "sweep": name,
            "model": str(REPOSITORY / "models" / "digits"),
            "variants": ["fp32"],
            "runtimes": [runtime],
            "trials": 3,
            **fields,
        }
        return self.write(f"{name}.yaml", json.dumps(document))

    def argv(self, *arguments: str) -> list[str]:
        """Return the argument vector of a command."""
        return [*self._machine, sys.executable, "-m", "orchestrator", *arguments]

    def run(
        self, *arguments: str, timeout_s: float = 90, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as a fork of the command server where nothing speaks against that."""
        command = Command(arguments, self.directory, {**self.environment, **(environment or {})})
        if not self._machine and command_server().fits(command.environment):
            return command_server().run(command, timeout_s)
        return subprocess.run(
            self.argv(*arguments),
            cwd=command.folder,
            env=command.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command; the caller ends it. What it says is kept in the lab's folder, unless told otherwise."""
        with (self.directory / "said.txt").open("a") as said:
            streams = {"stdout": said, "stderr": said, **options}
            return subprocess.Popen(
                self.argv(*arguments),
                cwd=self.directory,
                env={**self.environment, **(environment or {})},
                text=True,
                **streams,
            )

    def json(self, *arguments: str, timeout_s: float = 90) -> Any:
        """Run a command with --json and return what it printed, whatever its exit code."""
        done = self.run(*arguments, "--json", timeout_s=timeout_s)
        assert done.stdout, f"{arguments} printed nothing; stderr:\n{done.stderr}"
        return json.loads(done.stdout)

    def rows(self, statement: str) -> Sequence[dict[str, Any]]:
        """Return what an SQL statement finds in the lab's database."""
        found: Sequence[dict[str, Any]] = self.json("sql", statement)
        return found

    @staticmethod
    def assert_told(done: subprocess.CompletedProcess[str], device: str, *words: str) -> None:
        """Check that the lines about a device say all of `words`, and that no line is a program's own complaint."""
        assert "Traceback" not in done.stdout + done.stderr
        lines = [line.split(None, 1)[1] for line in done.stderr.splitlines() if line.split(None, 1)[:1] == [device]]
        said = "\n".join(lines)
        assert [word for word in words if word not in said] == [], done.stderr

    def counts(self, device: str, run: str = "last") -> list[int]:
        """Return how many attempts count for each measure trial of a device, read from outside by plain SQL."""
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT COALESCE(SUM(a.counted), 0) FROM trial t"
                " JOIN run_device r ON r.id = t.run_device_id JOIN device d ON d.id = r.device_id"
                " LEFT JOIN attempt a ON a.trial_id = t.id"
                " WHERE d.name = ? AND t.kind = 'measure' AND r.run_id = CASE ? WHEN 'last'"
                " THEN (SELECT id FROM run ORDER BY started_at DESC, id DESC LIMIT 1) ELSE ? END"
                " GROUP BY t.id ORDER BY t.position",
                (device, run, run),
            ).fetchall()
        return [int(count) for (count,) in rows]

    def wait_for_results(self, *devices: str, at_least: int) -> None:
        """Wait until so many trials of these devices together are committed."""

        def committed() -> bool:
            try:
                return sum(sum(self.counts(device)) for device in devices) >= at_least
            except sqlite3.OperationalError:  # the schema is just being made
                return False

        try:
            processes.wait_until(committed, f"{at_least} results of {', '.join(devices)} are committed", WAIT_S)
        except TimeoutError as error:
            shown = self.run("runs", "show", "last").stdout
            said = self.directory / "said.txt"
            error.add_note(
                "\n".join([shown, said.read_text() if said.exists() else "nothing was kept of what it said"])
            )
            raise

    def git(self, *words: str) -> str:
        """Run git in the lab's folder, as nobody in particular."""
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", *who, *words], cwd=self.directory, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def processes(self, device: str) -> list[int]:
        """Return the processes that work for a device: its state folder is among their words, or around them."""
        state_dir = self.state_dir(device)
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(state_dir) in words or (entry / "cwd").readlink().is_relative_to(state_dir):
                    found.append(int(entry.name))
        return found

    def allow_other_load(self, inventory: str) -> None:
        """Let devices of an inventory file that is shipped count trials beside the load of other tests."""
        limits = ", ".join(f"{key}: null" for key in USUAL_LIMITS)
        path = self.directory / inventory
        text = path.read_text()
        path.write_text(text.replace("{transport: local,", f"{{transport: local, limits: {{{limits}}},"))
        assert path.read_text() != text

    def _add(self, name: str, fields: dict[str, Any]) -> None:
        # A lab's devices are played on one machine, and so are those of other tests that run now.
        self.devices[name] = {"state_dir": str(self.state_dir(name)), "exclusive": False, **fields}
        # Nor may the load of other tests make trials invalid, where a device has the machine for itself.
        self.devices[name]["limits"] = {**dict.fromkeys(USUAL_LIMITS), **fields.get("limits", {})}
        self.write("inventory/lab.yaml", json.dumps({"devices": self.devices}))
