"""Run a Ray cluster of several raylets on this machine, each a node of its own, some of them at a site.

Started as a program of its own: a test process that held the cluster would be one of its drivers. Its standard input
takes `kill SITE` and `add SITE`; the end of it ends the cluster.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

STORE_BYTES = 80 << 20

_PROGRAM = """\
import sys
from ray.cluster_utils import Cluster

head = dict(num_cpus=0, object_store_memory={bytes}, include_dashboard=False)
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = {{}}


def add(site):
    node = cluster.add_node(num_cpus=1, object_store_memory={bytes}, labels={{"site": site}})
    nodes.setdefault(site, []).append(node)


for site in sys.argv[1:]:
    add(site)
print("address", cluster.address, flush=True)
for line in sys.stdin:
    verb, site = line.split()
    add(site) if verb == "add" else cluster.remove_node(nodes[site].pop(0), allow_graceful=False)
    print("done", line.strip(), flush=True)
cluster.shutdown()
"""


class Raylets:
    """A cluster of a head and a raylet for each named site; a site named twice has two. Enter the object to start."""

    def __init__(self, sites: Sequence[str], environment: Mapping[str, str]) -> None:
        self._sites = sites
        self._environment = {**environment, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        self.address = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(bytes=STORE_BYTES), *self._sites],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self.address = self._answer("address").split()[1]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process that all of the cluster descends from."""
        return self._process.pid

    def kill(self, site: str) -> None:
        """End the oldest raylet of a site without a word, and all its actors with it."""
        self._order(f"kill {site}")

    def add(self, site: str) -> None:
        """Start another raylet at a site."""
        self._order(f"add {site}")

    def _order(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        self._answer("done")

    def _answer(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line
        raise AssertionError(f"the cluster ended before it said {word!r}")
