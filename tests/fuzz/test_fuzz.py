"""A short, seeded portion of `make fuzz`, and the fuzzer itself: it must see what it is there to see."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.base import REPOSITORY
from tests.fuzz.child import target_names

PORTION = ("--mutations", "250", "--seconds", "40")
"""The same inputs on every machine, unless it is so slow that it would not come to an end."""

HARMFUL = """
import sys
from pathlib import Path
from tests.fuzz.base import Target
from tests.fuzz.child import feed

def recurse(data): recurse(data)
def swallow(data): bytearray(4 << 30)
def hang(data):
    while data: pass

feed(Target("harmful", {name}, []), [b"", b"x"], Path(sys.argv[1]), hang_s=0.5)
"""


@pytest.mark.system
@pytest.mark.parametrize("name", target_names())
def test_a_parser_survives_a_portion_of_nonsense(name: str) -> None:
    done = _fuzz("--target", name, *PORTION, "--seed", "20261121")
    assert done.returncode == 0, done.stdout
    last = done.stdout.splitlines()[-1].split()
    assert last[:2] == ["targets", "1"]
    assert int(last[3]) > 0
    assert last[4:] == ["defects", "0"]


@pytest.mark.parametrize(
    ("name", "word"), [("recurse", "RecursionError"), ("swallow", "MemoryError"), ("hang", "Timeout")]
)
def test_what_crashes_swallows_memory_or_hangs_is_seen_and_its_input_kept(tmp_path: Path, name: str, word: str) -> None:
    code = HARMFUL.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert word in done.stderr
    assert (tmp_path / "current").read_bytes() in (b"", b"x")


@pytest.mark.system
def test_a_defect_is_told_and_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"not a selector at all (((")
    done = _fuzz("--target", "selector", "--replay", str(tmp_path / "input"))
    assert done.stdout.splitlines()[-1] == "targets 1 inputs 1 defects 0"
    refused = _fuzz("--replay", str(tmp_path / "input"))
    assert refused.returncode == 2
    assert "--replay needs --target" in refused.stderr


def _fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        timeout=110,
    )  # fmt: skip
