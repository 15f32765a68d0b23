"""Whatever the umask, nobody else may change what we write; what may be private nobody else may read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


def test_nobody_else_may_change_what_a_user_without_a_umask_writes(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.add_local("desk")
    lab.write_exec_sweep()
    cache = lab.directory / "cache"
    given = set(lab.directory.rglob("*"))
    environment = {**lab.environment, "BENCHFLEET_CACHE_DIR": str(cache)}
    for arguments in (["init", "new"], ["run", "sweep.yaml"], ["sql", "SELECT 1"]):
        done = subprocess.run(
            lab.argv(*arguments), cwd=lab.directory, env=environment, umask=0, check=False, capture_output=True,
            text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    written = [path for path in lab.directory.rglob("*") if path not in given and not path.is_symlink()]
    assert {"benchfleet.toml", "benchfleet.db"} <= {path.name for path in written}
    assert [f"{path} {mode(path):o}" for path in written if mode(path) & 0o022] == []
    for private in (cache / "blobs", lab.state_dir("desk")):
        assert mode(private) == 0o700, private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
