"""Hashing files of models: once for an unchanged file, with the progress told."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from orchestrator.specs.hashing import sha256_anew, sha256_of, watching

CONTENT = b"model " * (1 << 19)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three mebibytes."""
    made = tmp_path / "m.tflite"
    made.write_bytes(CONTENT)
    return made


def test_an_unchanged_file_is_read_once(path: Path) -> None:
    reads = []
    for _ in range(2):
        with path.open("rb") as file:
            assert sha256_of(file, "m") == hashlib.sha256(CONTENT).hexdigest()
            reads.append(file.tell())
    assert reads == [len(CONTENT), 0]


def test_a_changed_file_has_another_hash_even_with_the_dates_of_before(path: Path) -> None:
    with path.open("rb") as file:
        sha256_of(file, "m")
    before = path.stat()
    changed = b"x" + CONTENT[1:]
    path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with path.open("rb") as file:
        assert sha256_of(file, "m") == hashlib.sha256(changed).hexdigest()


def test_a_file_that_changes_while_it_is_read_is_read_again(path: Path) -> None:
    def spoil(_name: str, done: int, _size: int) -> None:
        if done == 1 << 20:
            with path.open("r+b") as other:
                other.write(b"y")
            os.utime(path, ns=(0, 0))

    with path.open("rb") as file, watching(spoil):
        assert sha256_of(file, "m") == hashlib.sha256(CONTENT).hexdigest()
    with path.open("rb") as file:
        assert sha256_of(file, "m") == hashlib.sha256(b"y" + CONTENT[1:]).hexdigest()


def test_whoever_watches_is_told_the_progress_until_the_end(path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with path.open("rb") as file:
        with watching(lambda name, done, size: told.append((name, done, size))):
            sha256_anew(file, "m")
        sha256_anew(file, "m")  # nobody watches any more
    assert told == [("m", part << 20, 3 << 20) for part in (1, 2, 3)]
