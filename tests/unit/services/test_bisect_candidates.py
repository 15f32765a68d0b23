"""Lists of candidates: files and versions, and what is wrong with a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.bisection import Replaces
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.services.bisect.candidates import read_candidates
from orchestrator.specs.reach import Reach
from orchestrator.specs.runtime import parse_runtime

TFLITE = parse_runtime("tflite-runtime==2.14.0")
SCRIPT = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh", "c.sh"), (("c.sh", "/x/c.sh"),)))
COMMAND = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("bench",)))


def listed(folder: Path, text: str) -> Path:
    file = folder / "list.txt"
    file.write_text(text)
    return file


def test_versions_replace_the_runtime(tmp_path: Path) -> None:
    file = listed(tmp_path, "# oldest first\n2.11.0\n\ntflite-runtime==2.13.0\nai-edge-litert==2.3.0\n")
    found = read_candidates(file, TFLITE, None)
    assert found.replaces is Replaces.RUNTIME
    assert [one.runtime and one.runtime.label for one in found.candidates] == [
        "tflite-runtime==2.11.0",
        "tflite-runtime==2.13.0",
        "ai-edge-litert==2.3.0",
    ]
    assert [one.name for one in found.candidates] == ["2.11.0", "tflite-runtime==2.13.0", "ai-edge-litert==2.3.0"]


@pytest.mark.parametrize(
    ("runtime", "replaces"), [(TFLITE, Replaces.ARTIFACT), (SCRIPT, Replaces.PROGRAM), (COMMAND, Replaces.ARTIFACT)]
)
def test_files_replace_what_the_runtime_suggests(tmp_path: Path, runtime: RuntimeSpec, replaces: Replaces) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    (tmp_path / "c").write_text("other")
    found = read_candidates(listed(tmp_path, "a\nb\nc\n"), runtime, None)
    assert found.replaces is replaces
    assert [one.path for one in found.candidates] == [tmp_path / name for name in ("a", "b", "c")]
    first, second, third = (one.content for one in found.candidates)
    assert first == second != third
    assert read_candidates(listed(tmp_path, "a\nb\n"), SCRIPT, Replaces.ARTIFACT).replaces is Replaces.ARTIFACT


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "list.txt: a search needs at least 2 candidates, and there are 0"),
        ("# nothing\n2.11.0\n", "list.txt: a search needs at least 2 candidates, and there are 1"),
        ("2.11.0\n2.*\n", "list.txt:2: '2.*' is not one version"),
        ("2.11.0\nnonsense==1\n", "list.txt:2: "),
        ("a\n\nmissing\n", "list.txt:3: there is no file 'missing'"),
    ],
)
def test_a_wrong_list_names_file_and_line(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(ConfigError) as refused:
        read_candidates(listed(tmp_path, text), TFLITE, None)
    assert error in refused.value.message
    assert refused.value.hint


def test_a_list_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_candidates(tmp_path / "none", TFLITE, None)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_candidates(tmp_path / "bytes", TFLITE, None)


def test_files_that_may_not_be_sent_are_refused(tmp_path: Path) -> None:
    """A list may come from somebody else: it sends no key of this user to a device."""
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "build").write_text(folder.name)
    (own / ".key").write_text("secret")
    (own / "link").symlink_to(other / "build")
    for line in ("../other/build", "link", ".key", "/proc/self/environ"):
        with pytest.raises(ConfigError, match=r"list\.txt:2: /.* is (outside|hidden|the state)"):
            read_candidates(listed(own, f"build\n{line}\n"), COMMAND, None)
    found = read_candidates(listed(own, "build\n../other/build\n"), COMMAND, None, Reach(None, (other,)))
    assert found.candidates[1].path == other / "build"
