"""Notice the git commit of a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from orchestrator.domain.run_words import Commit

_LEADS_AWAY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""What git sets for its hooks: each comes before the folder, and the commit would be another repository's."""
_TIMEOUT_S = 5.0
"""A repository on a slow disk must not hold up a run: the commit is a convenience."""


def commit_of(folder: Path) -> Commit | None:
    """Return the commit checked out in a folder, or None without git, a repository, a commit or an answer in time.

    Tracked files alone decide whether the tree is dirty, since results are often written beside a sweep.
    """
    sha = _asked(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = None if sha is None else _asked(folder, "status", "--porcelain", "--untracked-files=no")
    return None if sha is None or changes is None else Commit(sha.strip(), bool(changes.strip()))


def _asked(folder: Path, *command: str) -> str | None:
    # A repository may name a program to watch its files: a look at a folder starts no program. Without locks, a person
    # who commits at the same time is not in the way.
    options = ("-c", "core.fsmonitor=false", "--no-optional-locks", "-C", str(folder))
    try:
        done = subprocess.run(
            ["git", *options, *command],
            env={name: value for name, value in os.environ.items() if name not in _LEADS_AWAY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
