"""Run a Ray cluster of several raylets on this machine, each a node of its own with labels of its own.

Started as a program of its own: a test process that held the cluster would be one of its drivers. Its standard input
takes `kill LABELS` and `add LABELS`, with variables of that node's environment; the end of it ends the cluster. Labels
are written as `ray start --labels` takes them, and a word alone is a site.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

STORE_BYTES = 80 << 20
START_S_MAX, STARTS_MAX = 60, 4
"""How long a raylet may take to register. Ray's own half a minute is not enough beside other tests."""
_PATIENCE = ("RAY_raylet_start_wait_time_s", "RAY_gcs_server_request_timeout_seconds")

_PROGRAM = """\
import os, sys
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
from ray.cluster_utils import Cluster

ensure_token_if_auth_enabled(create_token_if_missing=True)
head = dict(num_cpus=0, object_store_memory={bytes}, include_dashboard=False, **{head})
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = {{}}


def add(labels, *variables):
    pairs = dict(pair.split("=", 1) for pair in (labels if "=" in labels else "site=" + labels).split(","))
    before = dict(os.environ)
    os.environ.update(variable.split("=", 1) for variable in variables)
    node = cluster.add_node(num_cpus=1, object_store_memory={bytes}, labels=pairs)
    os.environ.clear()
    os.environ.update(before)
    nodes.setdefault(labels, []).append(node)


for labels in sys.argv[1:]:
    add(labels)
print("address", cluster.address, flush=True)
for line in sys.stdin:
    verb, labels, *variables = line.split()
    add(labels, *variables) if verb == "add" else cluster.remove_node(nodes[labels].pop(0), allow_graceful=False)
    print("done", line.strip(), flush=True)
cluster.shutdown()
"""


class Raylets:
    """A cluster of a head and a raylet for each of some labels; labels named twice have two. Enter the object to start.

    `port` is the head's, for a cluster that takes the place of another one.
    """

    def __init__(self, nodes: Sequence[str], environment: Mapping[str, str], port: int | None = None) -> None:
        self._nodes = nodes
        patience = dict.fromkeys(_PATIENCE, str(START_S_MAX))
        own = {"RAY_USAGE_STATS_ENABLED": "0", **patience}
        self._environment = {"RAY_AUTH_MODE": "disabled", **environment, **own}
        self._head = {} if port is None else {"gcs_server_port": port}
        self.address = ""

    def __enter__(self) -> Self:
        for tries_left in reversed(range(STARTS_MAX)):
            try:
                return self._start()
            except AssertionError as error:
                # A raylet dies of an agent that takes longer than seconds to start, which no setting changes.
                if not tries_left or "timed out during startup" not in str(error):
                    raise
        raise AssertionError("no start was tried")

    def _start(self) -> Self:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the exit
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(bytes=STORE_BYTES, head=self._head), *self._nodes],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
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
            self._said.close()

    @property
    def pid(self) -> int:
        """The process that all of the cluster descends from."""
        return self._process.pid

    def kill(self, labels: str) -> None:
        """End the oldest raylet of a site, or of some labels, without a word, and all its actors with it."""
        self._order(f"kill {labels}")

    def add(self, labels: str, **variables: str) -> None:
        """Start another raylet at a site, or with some labels, and with variables in its environment."""
        self._order(" ".join(["add", labels, *(f"{name}={value}" for name, value in variables.items())]))

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
        self._said.seek(0)
        raise AssertionError(f"the cluster ended before it said {word!r}:\n{self._said.read()[-2000:]}")
