"""The commit of a folder is that of the folder's own repository, whatever git has set for a hook around us."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.services.runs.commit import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="takes git")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@lab", "-c", "commit.gpgsign=false")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=plain).stdout.strip()


def repository(folder: Path, content: str) -> str:
    """Make a repository with one commit, and return the commit."""
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "sweep.yaml").write_text(content)
    git(folder, "add", "sweep.yaml")
    git(folder, "commit", "-qm", content)
    return git(folder, "rev-parse", "HEAD")


def test_a_hook_of_another_repository_does_not_lend_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = repository(tmp_path / "own", "own"), repository(tmp_path / "other", "other")
    assert own != other
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    found = commit_of(tmp_path / "own")
    assert found is not None
    assert (found.sha, found.dirty) == (own, False)
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert commit_of(tmp_path / "plain") is None, "no repository, whatever GIT_DIR says"
