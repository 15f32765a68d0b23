"""What reading the ssh configuration costs for 500 devices, as labs write it: wall time and processor time."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figures import Figure
from orchestrator.transport.ssh.answers import Question
from orchestrator.transport.ssh.config import SshConfig

DEVICES = 500
AT_ONCE = 32
SECONDS_MAX = 2.0
_BLOCK = """\
Host board-{n} board-{n}.lab
  HostName 10.1.{high}.{low}  # shelf {n}
  Port {port}
  IdentityFile ~/.ssh/id_{n}
"""


def measure() -> Iterator[Figure]:
    """Look up 500 hosts that only patterns tell apart, then 500 hosts with a block each."""
    if shutil.which("ssh") is None:
        raise SystemExit("no ssh: run scripts/install-system-packages")
    with tempfile.TemporaryDirectory(prefix="benchfleet-lookups-") as name:
        for title, text, hosts in _labs():
            config = Path(name) / title.replace(" ", "-")
            config.write_text(text)
            yield from _figures(title, SshConfig(config), hosts)


def _labs() -> Iterator[tuple[str, str, list[str]]]:
    numbers = range(DEVICES)
    common = "Match final all\n  GSSAPIAuthentication yes\nHost 10.* board-*\n  User pi\n  ProxyJump gate\n"
    yield "addresses", common, [f"10.1.{number >> 8}.{number & 255}" for number in numbers]
    blocks = [_BLOCK.format(n=number, high=number >> 8, low=number & 255, port=2200 + number) for number in numbers]
    yield "blocks", "".join(blocks) + common, [f"board-{number}" for number in numbers]


def _figures(title: str, config: SshConfig, hosts: list[str]) -> Iterator[Figure]:
    cpu, began = _processor_s(), time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda host: config.lookup(Question(host)), hosts))
    wall, spent = time.perf_counter() - began, _processor_s() - cpu
    if len({(host.host, host.port) for host in found}) != DEVICES:
        raise SystemExit(f"{title}: two devices have one address")
    yield Figure(f"{DEVICES} {title}, wall", wall, "s", SECONDS_MAX)
    yield Figure(f"{DEVICES} {title}, processor", spent, "s", SECONDS_MAX)


def _processor_s() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)
