"""What to do about a file that cannot be read depends on why it cannot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestrator.specs.paths import open_regular, reading_remedy

GONE = "restore the file"


def remedy(path: Path) -> str:
    with pytest.raises(OSError, match=r".") as caught:
        open_regular(path).close()
    return reading_remedy(caught.value, path, GONE)


def test_a_file_that_is_gone_has_the_callers_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert remedy(tmp_path / "none") == GONE
    assert remedy(tmp_path / "file" / "below") == GONE


def test_a_file_that_is_there_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a pipe")
    (tmp_path / "folder").mkdir()
    for name in ("a pipe", "folder"):
        assert remedy(tmp_path / name).startswith("see what it is")
    assert f"ls -l '{tmp_path}/a pipe'" in remedy(tmp_path / "a pipe")


@pytest.mark.parametrize(("number", "words"), [(errno.EACCES, "who may read it"), (errno.EIO, "the disk fails")])
def test_a_right_and_a_disk_are_told_apart(number: int, words: str) -> None:
    assert words in reading_remedy(OSError(number, os.strerror(number)), Path("model.tflite"), GONE)
