"""What a device answers is taken for what it should be, or refused in words that a terminal may show."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import WorkerFailed
from orchestrator.session import answers

BLOB = Blob("b" * 64, 10, BlobKind.MODEL, "model.tflite")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.text())
def test_words_are_one_printable_line(said: str) -> None:
    words = answers.words(said)
    assert words.isprintable()
    assert len(words) <= 500


def test_words_that_mean_something_stay() -> None:
    assert answers.words("no room: 3 MB of 5\n free") == "no room: 3 MB of 5 free"
    assert answers.words("\x1b[2J\u202egpj") == "?[2J?gpj"


@pytest.mark.parametrize("line", [b"[" * 60_000, b"7", b"\xff", b"", b'{"a":' + b"9" * 5000 + b"}"])
def test_a_loaders_line_is_an_object(line: bytes) -> None:
    with pytest.raises(WorkerFailed, match="the loader's line is not"):
        answers.loader_answer(line)


@pytest.mark.parametrize(
    ("said", "version"),
    [("3.11.2", (3, 11)), ("2.7", (2, 7)), ("3", (3,)), ("²·²", (0,)), ("9" * 5000 + ".1", (0, 1)), (None, (0,))],
)
def test_a_version_is_two_small_numbers(said: object, version: tuple[int, ...]) -> None:
    assert answers.python_version(said) == version


def test_offsets_lie_within_the_blobs_that_were_asked_about() -> None:
    assert answers.offsets({"missing": [{"sha256": BLOB.sha256, "offset": 10}]}, [BLOB]) == {BLOB.sha256: 10}
    assert answers.offsets({"missing": []}, [BLOB]) == {}


@pytest.mark.parametrize("offset", [-1, 11, 1 << 70, 1.5, float("inf"), float("nan"), True, None, "3"])
def test_no_other_offset_is_taken(offset: object) -> None:
    with pytest.raises(WorkerFailed, match="about blobs makes no sense"):
        answers.offsets({"missing": [{"sha256": BLOB.sha256, "offset": offset}]}, [BLOB])
    with pytest.raises(WorkerFailed, match="about blobs makes no sense"):
        answers.offsets({"missing": [{"sha256": "c" * 64, "offset": 0}]}, [BLOB])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["missing", "log_id", "first_seq", "last_seq", "state"]), JSON))
def test_any_other_answer_is_taken_or_refused_in_words(message: dict[str, Any]) -> None:
    for take in (answers.log_id, answers.sequence_numbers, answers.end_of_log, lambda m: answers.offsets(m, [BLOB])):
        said = ""
        try:
            take(message)
        except WorkerFailed as error:
            said = error.message
        assert said.isprintable()
