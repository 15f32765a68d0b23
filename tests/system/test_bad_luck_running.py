"""What breaks while devices measure: one run in which each device has a mishap of its own, then its completion."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import disks
from tests.lab import OK_PROGRAM, WAIT_S, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TRIALS = 6
BEFORE = 2
"""So many results of each device are in the database when its mishap comes."""

GOES_ON_BY_ITSELF = ("good", "follower-killed", "sshd-restarted", "silent")
STOPPED = ("runner-killed", "rebooted")


class Afternoon:
    """The run, from its mishaps to its end, and then its completion."""

    def __init__(self, lab: Lab, server: SshServer, stack: ExitStack) -> None:
        self.lab = lab
        self.stack = stack
        self.restarted_server = stack.enter_context(SshServer(lab.directory / "sshd"))
        self.relay = stack.enter_context(TcpRelay(server.host, server.port))
        self.gate = lab.directory / "gate"
        self.run = ""
        self.ended: subprocess.CompletedProcess[str]
        self.counts_at_end: dict[str, list[int]] = {}
        lab.trust(server)
        lab.trust(self.restarted_server)
        lab.trust(server, self.relay.host, self.relay.port)
        for name in ("good", "follower-killed", "runner-killed", "rebooted"):
            lab.add_ssh(name, server)
        lab.add_ssh("sshd-restarted", self.restarted_server)
        lab.add_ssh("silent", server, port=self.relay.port)

    def begin(self) -> subprocess.Popen[str]:
        """Start the run; return when every device has its first results and waits at the gate."""
        program = f"case $BENCHFLEET_TRIAL in *.[12]) ;; *) until [ -e {self.gate} ]; do sleep 0.05; done ;; esac\n"
        self.lab.write_exec_sweep(program + OK_PROGRAM, trials=TRIALS, timeouts={"trial_s": 120})
        with (self.lab.directory / "stderr").open("w") as errors, (self.lab.directory / "stdout").open("w") as output:
            controller = self.lab.start("run", "sweep.yaml", stdout=output, stderr=errors)
        for device in self.lab.devices:
            self.lab.wait_for_results(device, at_least=BEFORE)
        return controller

    def break_everything(self) -> None:
        """Let each device have its mishap, in the midst of its third trial."""
        pass
