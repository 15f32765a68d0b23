"""A fleet of simulated devices in a process of its own, reached over SSH at addresses of loopback."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from orchestrator.testing.fleet.addresses import address_of
from tests.servers import processes
from tests.servers.errors import ServerUnavailable

_STOP_TIMEOUT_S = 20.0
USER = "bench"


class FleetServer:
    """Simulated devices with `names`, a key that lets a client in, and the keys of hosts to check.

    `pace` and `faults` are those of `orchestrator.testing.fleet`: {"trial_s": 0.5}, {name: {"drops": [4]}}.
    """

    def __init__(
        self,
        directory: Path,
        names: Sequence[str],
        *,
        pace: Mapping[str, float] | None = None,
        faults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.names = list(names)
        self.user = USER
        self.port = 0
        self.directory = directory.resolve()
        self.identity_file = self.directory / "client_key"
        self.known_hosts = self.directory / "known_hosts"
        self._host_key = self.directory / "host_key"
        self._process: subprocess.Popen[str] | None = None
        self.directory.mkdir(mode=0o700, parents=True)
        plan = {"names": self.names, "pace": dict(pace or {}), "faults": dict(faults or {})}
        (self.directory / "fleet.json").write_text(json.dumps(plan))
        for key in (self.identity_file, self._host_key):
            arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "benchfleet test", "-f", str(key)]
            subprocess.run(["ssh-keygen", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=30)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "orchestrator.testing.fleet", str(self.directory)]
        with (self.directory / "fleet.log").open("w") as log:
            self._process = subprocess.Popen(
                processes.dies_with_us(command, signal.SIGTERM),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
                preexec_fn=_raise_open_files,
            )
        line = self._answer()
        self.port = int(line)
        algorithm, key, *_ = self._host_key.with_suffix(".pub").read_text().split()
        hosts = (f"[{address_of(number)}]:{self.port}" for number in range(len(self.names)))
        self.known_hosts.write_text("".join(f"{host} {algorithm} {key}\n" for host in hosts))
        return self

    def __exit__(self, *exception: object) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._process = None

    @property
    def pid(self) -> int:
        """Return the process that is the fleet."""
        assert self._process is not None
        return self._process.pid

    def inventory(self, **fields: Any) -> dict[str, dict[str, Any]]:
        """Return the devices as an inventory has them, each with further `fields`."""
        reached = {"port": self.port, "user": self.user, "identity_file": str(self.identity_file)}
        return {
            name: {"host": address_of(number), **reached, "state_dir": "/var/lib/benchfleet", **fields}
            for number, name in enumerate(self.names)
        }

    def hold(self, before: int, name: str = "*") -> None:
        """Let no trial from this place of the plan on end, of one device or of all."""
        self._order(f"hold {name} {before}")

    def let_go_on(self, name: str = "*") -> None:
        """End the hold."""
        self._order(f"go {name}")

    def count_held(self) -> int:
        """Return how many devices are followed, and only go on once the hold ends."""
        return int(self._order("held *"))

    def log_text(self) -> str:
        """Return what the fleet has written to its standard error."""
        return (self.directory / "fleet.log").read_text(errors="replace")

    def _order(self, line: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise ServerUnavailable(f"the fleet ended:\n{self.log_text()[-2000:]}")
        return line


def _raise_open_files() -> None:
    """Allow as many open files as the hard limit does: each device is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
