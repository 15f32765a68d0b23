"""What every BlobSource keeps to; a new one is one more builder."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.blobs.base import BlobSource
from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError, ExitCode

CONTENTS = {"digits.tflite": b"TFL3" * 100, "empty": b"", "bundle.zip": bytes(range(256)) * 10_000}

Build = Callable[[Path, dict[str, bytes]], BlobSource]


def blob_cache(folder: Path, contents: dict[str, bytes]) -> BlobSource:
    cache = BlobCache(folder)
    for name, content in contents.items():
        cache.add(content, BlobKind.FILE, name)
    return cache


@pytest.fixture(params=[blob_cache])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> BlobSource:
    build: Build = request.param
    return build(tmp_path, CONTENTS)


def blob(name: str, content: bytes) -> Blob:
    return Blob(hashlib.sha256(content).hexdigest(), len(content), BlobKind.FILE, name)


def test_it_is_one(source: BlobSource) -> None:
    assert isinstance(source, BlobSource)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_blob_is_a_file_with_exactly_its_content(source: BlobSource, name: str) -> None:
    assert source.path(blob(name, CONTENTS[name])).read_bytes() == CONTENTS[name]


def test_a_blob_is_found_by_content_whatever_name_and_kind_it_goes_by(source: BlobSource) -> None:
    known = blob("digits.tflite", CONTENTS["digits.tflite"])
    renamed = Blob(known.sha256, known.size, BlobKind.MODEL, "another.tflite")

    assert source.path(renamed).read_bytes() == CONTENTS["digits.tflite"]


def test_asking_again_gives_the_same_file(source: BlobSource) -> None:
    known = blob("bundle.zip", CONTENTS["bundle.zip"])

    assert source.path(known) == source.path(known)


def test_content_that_is_not_there_is_an_error_with_a_remedy(source: BlobSource) -> None:
    with pytest.raises(BlobError, match="gone") as caught:
        source.path(blob("gone", b"never added"))
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE


def test_content_of_another_size_is_an_error(source: BlobSource) -> None:
    known = blob("digits.tflite", CONTENTS["digits.tflite"])

    with pytest.raises(BlobError):
        source.path(Blob(known.sha256, known.size + 1, known.kind, known.name))


def test_it_travels_to_another_process(source: BlobSource) -> None:
    known = blob("digits.tflite", CONTENTS["digits.tflite"])

    assert pickle.loads(pickle.dumps(source)).path(known).read_bytes() == CONTENTS["digits.tflite"]
