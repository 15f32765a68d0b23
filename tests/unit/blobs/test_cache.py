import errno
import hashlib
import multiprocessing
import os
import pickle
import threading
from pathlib import Path

import pytest

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError

CONTENT = b"a model" * 1000


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "blobs")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def damage(cache: BlobCache, blob: Blob, content: bytes) -> Path:
    file = cache.path(blob)
    file.chmod(0o644)
    file.write_bytes(content)
    os.utime(file, (1, 1))
    return file


def test_bytes_are_named_by_their_content(cache: BlobCache) -> None:
    blob = cache.add(CONTENT, BlobKind.PLAN, "plan.json")

    assert blob == Blob(sha256(CONTENT), len(CONTENT), BlobKind.PLAN, "plan.json")
    assert cache.path(blob).read_bytes() == CONTENT


def test_a_file_keeps_its_name_and_the_cache_its_own_copy(cache: BlobCache, tmp_path: Path) -> None:
    file = tmp_path / "digits.tflite"
    file.write_bytes(CONTENT)

    blob = cache.add(file, BlobKind.MODEL)
    file.write_bytes(b"rebuilt")

    assert blob.name == "digits.tflite"
    assert cache.path(blob).read_bytes() == CONTENT


def test_nothing_can_write_into_a_blob_by_mistake(cache: BlobCache) -> None:
    assert cache.path(cache.add(CONTENT, BlobKind.FILE)).stat().st_mode & 0o222 == 0


def test_the_same_content_is_stored_once(cache: BlobCache, tmp_path: Path) -> None:
    first = cache.path(cache.add(CONTENT, BlobKind.MODEL, "a")).stat()
    again = cache.path(cache.add(CONTENT, BlobKind.FILE, "b")).stat()

    assert again.st_ino == first.st_ino
    assert files_in(tmp_path / "blobs") == [sha256(CONTENT)]


def test_an_adopted_file_is_gone_from_where_it_was(cache: BlobCache, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    archive.write_bytes(CONTENT)

    blob = cache.adopt(archive, BlobKind.BUNDLE)

    assert blob == Blob(sha256(CONTENT), len(CONTENT), BlobKind.BUNDLE, "bundle.zip")
    assert not archive.exists()
    assert cache.path(blob).read_bytes() == CONTENT


def test_an_adopted_file_may_come_from_another_file_system(cache: BlobCache) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == Path("/").stat().st_dev:
        pytest.skip("there is no second file system")
    archive = shared_memory / f"benchfleet-test-{os.getpid()}"
    archive.write_bytes(CONTENT)

    assert cache.path(cache.adopt(archive, BlobKind.BUNDLE)).read_bytes() == CONTENT
    assert not archive.exists()


def test_holds_tells_what_is_there(cache: BlobCache) -> None:
    blob = Blob(sha256(CONTENT), len(CONTENT), BlobKind.FILE, "a")
    before = cache.holds(blob)
    cache.add(CONTENT, BlobKind.FILE, "a")

    assert (before, cache.holds(blob)) == (False, True)


def test_a_missing_blob_is_an_error_that_says_what_to_do(cache: BlobCache) -> None:
    with pytest.raises(BlobError, match=r"model m\.tflite \(0000.*is not in") as caught:
        cache.path(Blob("0" * 64, 1, BlobKind.MODEL, "m.tflite"))
    assert "start the run again" in str(caught.value.hint)


def test_a_name_that_is_no_hash_never_becomes_a_path(cache: BlobCache) -> None:
    with pytest.raises(BlobError, match="is not a SHA-256"):
        cache.path(Blob("../../etc/passwd", 1, BlobKind.FILE, "x"))


def test_a_wrong_size_is_an_error_and_the_file_stays(cache: BlobCache) -> None:
    blob = cache.add(CONTENT, BlobKind.FILE, "a")

    with pytest.raises(BlobError, match="7000 bytes where the plan says 1"):
        cache.path(Blob(blob.sha256, 1, BlobKind.FILE, "a"))
    assert cache.holds(blob)


@pytest.mark.parametrize("content", [b"b model" * 1000, b"", CONTENT + b"x"])
def test_a_damaged_blob_is_removed_and_can_be_added_again(cache: BlobCache, content: bytes) -> None:
    blob = cache.add(CONTENT, BlobKind.MODEL, "a")
    damage(cache, blob, content)

    with pytest.raises(BlobError, match="model a was damaged"):
        cache.path(blob)
    cache.add(CONTENT, BlobKind.MODEL, "a")

    assert cache.path(blob).read_bytes() == CONTENT


def test_a_torn_blob_is_replaced_when_its_content_is_added_again(cache: BlobCache) -> None:
    blob = cache.add(CONTENT, BlobKind.MODEL)
    damage(cache, blob, CONTENT[:10])

    cache.add(CONTENT, BlobKind.MODEL)

    assert cache.path(blob).read_bytes() == CONTENT


def test_an_unchanged_blob_is_hashed_once_by_a_process(cache: BlobCache, tmp_path: Path) -> None:
    blob = cache.add(CONTENT, BlobKind.MODEL)
    fresh = BlobCache(tmp_path / "blobs")
    file = fresh.path(blob)
    stamp = file.stat()
    file.chmod(0o644)
    file.write_bytes(CONTENT[::-1])  # as long as before, and just as old
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert fresh.path(blob) == file
    with pytest.raises(BlobError, match="damaged"):
        BlobCache(tmp_path / "blobs").path(blob)


def test_a_source_that_does_not_exist_is_named(cache: BlobCache, tmp_path: Path) -> None:
    with pytest.raises(BlobError, match=r"cannot store gone.*No such file.*gone"):
        cache.add(tmp_path / "gone", BlobKind.FILE)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BlobError, match=r"cannot store plan\.json in"):
        BlobCache(tmp_path / "file" / "blobs").add(b"", BlobKind.PLAN, "plan.json")


class FullCache(BlobCache):
    """A cache on a disk without room."""

    def _copy(self, *_: object) -> Blob:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BlobError, match=r"cannot store file in .*: No space left on device") as caught:
        FullCache(tmp_path).add(CONTENT, BlobKind.FILE)
    assert "free some space" in str(caught.value.hint)


def test_a_copy_in_another_process_reads_the_same_folder(cache: BlobCache) -> None:
    blob = cache.add(CONTENT, BlobKind.FILE)

    assert pickle.loads(pickle.dumps(cache)).path(blob) == cache.path(blob)


def test_many_threads_may_add_and_read_at_once(cache: BlobCache, tmp_path: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(5)]
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for content in contents * 4:
                assert cache.path(cache.add(content, BlobKind.FILE, "f")).read_bytes() == content
        except BaseException as problem:  # noqa: BLE001 - reported by the assertion below
            problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert files_in(tmp_path / "blobs") == sorted(map(sha256, contents))


def add_all(cache: BlobCache, contents: list[bytes]) -> list[Blob]:
    return [cache.add(content, BlobKind.FILE, "f") for content in contents]


@pytest.mark.system  # interpreters that import all of this again: the quick loop adds from threads, above
def test_many_processes_may_add_at_once(cache: BlobCache, tmp_path: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(5)]

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        blobs = pool.starmap(add_all, [(cache, contents), (cache, contents[::-1])])

    assert sorted(map(hash, blobs[0])) == sorted(map(hash, blobs[1]))
    assert files_in(tmp_path / "blobs") == sorted(map(sha256, contents))
