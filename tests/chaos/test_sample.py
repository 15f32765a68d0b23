"""A few histories of the schedule, in processes of their own, as `make chaos` runs hundreds of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.lab import REPOSITORY

HISTORIES = 16
SEED = 20
"""Whose first histories have every fault but the gateway's, at every phase."""


@pytest.mark.system
@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_overlapped_or_left_running() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--histories", str(HISTORIES), "--seed", str(SEED)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*command, "--db", "sqlite"],  # in a folder of its own: the machines' other users may not enter pytest's
        cwd=REPOSITORY,
        env={"PYTHONPYCACHEPREFIX": str(REPOSITORY / ".cache" / "bytecode"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    *table, last = done.stdout.splitlines()
    assert last == f"histories {HISTORIES} lost 0 doubled 0 overlapped 0 left-running 0", done.stdout + done.stderr
    assert done.returncode == 0
    struck = [re.split(r"\s{2,}", line)[2:4] for line in table[2:]]
    assert sum(int(of) for of, _struck in struck) == HISTORIES
    assert sum(int(struck) for _of, struck in struck) > HISTORIES / 2, (
        "most faults come after their phase:\n" + done.stdout
    )
