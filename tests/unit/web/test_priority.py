"""The priority of the page's server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orchestrator.web.server import NICENESS

PROGRAM = "import os, sys; from orchestrator.web.server import give_way; os.nice({by}); give_way(); print(os.nice(0))"


@pytest.mark.parametrize("by", [0, NICENESS + 3])
def test_the_server_gives_way_and_takes_no_priority_back(by: int) -> None:
    before = os.nice(0)
    answer = subprocess.run([sys.executable, "-c", PROGRAM.format(by=by)], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == max(NICENESS, min(before + by, 19))
