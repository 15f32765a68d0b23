"""A lab of a minute, as `python -m tests.endurance` has one for an hour."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.lab import REPOSITORY

MINUTES = 1
SEED = 3
ASKED = "BENCHFLEET_ENDURANCE"
"""Names a variable: a minute is too tight for a busy machine, where a run may have no time to give way."""
IS_RAY_THERE = importlib.util.find_spec("ray") is not None


@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get(ASKED), reason=f"takes minutes of a quiet machine: {ASKED}=1 asks for it")
@pytest.mark.skipif(not IS_RAY_THERE, reason="Ray is not installed: pip install 'benchfleet[ray]'")
def test_everything_submitted_is_complete_whatever_is_killed() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'benchfleet[postgres]'")
    # In a folder of its own: PostgreSQL's user may not enter pytest's.
    done = subprocess.run(
        [sys.executable, "-m", "tests.endurance", "--minutes", str(MINUTES), "--seed", str(SEED), "--drain-s", "600"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.splitlines()[-1].split()
    counts = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert all(counts.pop(name) > 0 for name in ("submissions", "trials", "moments", "gave-way"))
    assert set(counts.values()) == {0}
