"""What every database keeps of contents in chunks."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.domain.errors import BlobError
from orchestrator.store.records import vault
from orchestrator.store.store import Store

CONTENT = bytes(range(256)) * 10
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "CHUNK_BYTES", 1000)


def put(store: Store, content: bytes, places: list[int] | None = None) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    size, missing = store.vault.begin_blob(sha256, len(content))
    for place in missing if places is None else places:
        store.vault.put_chunk(sha256, place, content[place * size : (place + 1) * size])


def test_a_content_comes_back_as_it_went(store: Store) -> None:
    put(store, CONTENT)
    store.vault.finish_blob(SHA256)
    assert [len(chunk) for chunk in store.vault.chunks(SHA256)] == [1000, 1000, 560]
    assert b"".join(store.vault.chunks(SHA256)) == CONTENT
    assert store.vault.begin_blob(SHA256, len(CONTENT)) == (1000, ()), "nothing is missing, and nothing is sent again"


def test_a_cut_upload_goes_on_with_what_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, CONTENT, [1])
    with pytest.raises(BlobError, match="not all of its chunks"):
        store.vault.finish_blob(SHA256)
    with pytest.raises(BlobError, match="not in the database"):
        list(store.vault.chunks(SHA256))
    monkeypatch.setattr(vault, "CHUNK_BYTES", 7)  # a later release may have chunks of another size
    assert store.vault.begin_blob(SHA256, len(CONTENT)) == (1000, [0, 2])
    put(store, CONTENT)
    store.vault.finish_blob(SHA256)
    assert b"".join(store.vault.chunks(SHA256)) == CONTENT


def test_an_empty_content_is_a_content(store: Store) -> None:
    nothing = hashlib.sha256(b"").hexdigest()
    assert store.vault.begin_blob(nothing, 0)[1] == []
    store.vault.finish_blob(nothing)
    assert list(store.vault.chunks(nothing)) == []


def test_two_uploads_of_one_content_make_one(store: Store) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: put(store, CONTENT), range(2)))
    store.vault.finish_blob(SHA256)
    store.vault.finish_blob(SHA256)
    assert b"".join(store.vault.chunks(SHA256)) == CONTENT


def test_another_size_under_the_same_hash_is_refused(store: Store) -> None:
    put(store, CONTENT)
    with pytest.raises(BlobError, match=f"{len(CONTENT)} bytes in the database, and 1 here"):
        store.vault.begin_blob(SHA256, 1)


def test_a_damaged_content_can_be_sent_again(store: Store) -> None:
    put(store, CONTENT)
    store.vault.finish_blob(SHA256)
    store.vault.drop_blob(SHA256)
    with pytest.raises(BlobError, match="is not in the database"):
        list(store.vault.chunks(SHA256))
    assert store.vault.begin_blob(SHA256, len(CONTENT)) == (1000, [0, 1, 2])
