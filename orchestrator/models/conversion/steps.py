"""Keep the results of steps by everything that decides them: a step whose inputs have not changed is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Steps:
    """Hold the results of steps, a folder each, named by the hash of the inputs."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    def take(self, words: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the folder of a step's results. `make` fills the folder where the step has not been made before."""
        kept = self._folder / key_of(inputs)
        if kept.is_dir():
            self._say(f"{words}: as before")
            return kept
        self._say(words)
        self._folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=self._folder))
        try:
            make(made)
            (made / "inputs.json").write_text(json.dumps(inputs, indent=1, sort_keys=True), encoding="utf-8")
            _put(made, kept)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return kept


def key_of(inputs: Mapping[str, Any]) -> str:
    """Return the hash of a step's inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def hash_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(made: Path, kept: Path) -> None:
    try:
        made.rename(kept)
    except OSError:
        # Another process has made the same step meanwhile.
        if not kept.is_dir():
            raise
