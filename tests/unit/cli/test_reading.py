"""What a command says while it hashes a large model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.cli.processes import REPOSITORY, environment

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

TINY = REPOSITORY / "tests" / "contract" / "specs" / "models" / "tiny"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words that verify a model with an artifact of 300 MB, all of it a hole."""
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    os.truncate(folder / "tiny-fp32.tflite", 300_000_000)
    return [sys.executable, "-m", "orchestrator", "models", "verify", str(folder)]


def test_a_terminal_sees_how_far_the_reading_has_come(words: list[str]) -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 1 << 16):
                said += part
        os.close(ours)
    assert b"reading tiny-fp32.tflite" in said
    assert b"300.0 MB" in said
    assert process.returncode == 2


def test_a_pipe_sees_the_result_alone(words: list[str]) -> None:
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "reading" not in done.stdout
