"""Shipping blobs over a link that drops, to disks that fail, and unpacking them."""

import concurrent.futures
import errno
import io
import os
import stat
import zipfile

import pytest

from device_worker.protocol.errors import BadBundle, Interrupted
from device_worker.state.blobs import BlobStore
from device_worker.state.bundles import BundleStore
from worker_client import CHUNK_BYTES, Refused, sha256_of


def blob_path(state_dir, sha256):
    return os.path.join(state_dir, "blobs", sha256)


def put(device, blob, offset, end):
    return device.ask("blob-put", blob[offset:end], sha256=sha256_of(blob), size=len(blob), offset=offset)


def missing(device, blob):
    return device.ask("blobs", blobs=[{"sha256": sha256_of(blob), "size": len(blob)}])["missing"]


@pytest.fixture
def blob():
    return os.urandom(1 << 16) * 100 + b"the end"


def test_a_blob_arrives_in_chunks_and_is_read_only_and_executable(device, state_dir, blob):
    assert device.upload(blob) == len(blob)
    assert missing(device, blob) == []
    path = blob_path(state_dir, sha256_of(blob))
    with open(path, "rb") as file:
        assert file.read() == blob
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o500


def test_an_upload_goes_on_where_a_dropped_link_left_it(device, connect, blob):
    assert put(device, blob, 0, CHUNK_BYTES)["complete"] is False
    device.process.kill()
    again = connect()
    assert missing(again, blob) == [{"sha256": sha256_of(blob), "offset": CHUNK_BYTES}]
    assert again.upload(blob) == len(blob) - CHUNK_BYTES
    assert missing(again, blob) == []


def test_a_chunk_may_be_sent_twice(device, blob):
    put(device, blob, 0, CHUNK_BYTES)
    put(device, blob, 0, CHUNK_BYTES)
    assert put(device, blob, CHUNK_BYTES, len(blob))["complete"] is True
    assert put(device, blob, CHUNK_BYTES, len(blob))["complete"] is True


def test_two_controllers_may_send_the_same_blob_at_once(device, connect, state_dir, blob):
    other = connect()
    put(device, blob, 0, CHUNK_BYTES)
    put(other, blob, 0, CHUNK_BYTES)
    assert put(device, blob, CHUNK_BYTES, len(blob))["complete"] is True
    assert put(other, blob, CHUNK_BYTES, len(blob))["complete"] is True
    with open(blob_path(state_dir, sha256_of(blob)), "rb") as file:
        assert file.read() == blob
    assert os.listdir(os.path.join(state_dir, "blobs")) == [sha256_of(blob)]


def test_senders_of_one_blob_do_not_get_into_each_others_way(state_dir):
    """Both find the blob missing, and then either completes it: neither is told of a file that is gone."""
    os.makedirs(os.path.join(state_dir, "blobs"))
    blobs = [os.urandom(5000) for _ in range(200)]

    def send():
        store = BlobStore(os.path.join(state_dir, "blobs"))
        return [store.put(sha256_of(blob), len(blob), 0, blob) for blob in blobs]

    with concurrent.futures.ThreadPoolExecutor(4) as senders:
        results = [sender.result(60) for sender in [senders.submit(send) for _ in range(4)]]
    assert results == [[True] * len(blobs)] * 4
    assert sorted(os.listdir(os.path.join(state_dir, "blobs"))) == sorted(map(sha256_of, blobs))


def test_a_whole_partial_that_a_power_cut_left_can_be_written_again(state_dir, monkeypatch):
    """An ordinary user may not open what is read-only: the blob becomes that once it has its name."""
    folder = os.path.join(state_dir, "blobs")
    os.makedirs(folder)
    blob = os.urandom(5000)
    store, sha256 = BlobStore(folder), sha256_of(blob)

    def cut(*_paths):
        raise OSError(errno.EIO, "the power goes")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", cut)
        with pytest.raises(OSError, match="the power goes"):
            store.put(sha256, len(blob), 0, blob)
    assert os.stat(store.path(sha256) + ".partial").st_mode & 0o777 == 0o700
    assert store.put(sha256, len(blob), 0, blob)
    assert os.stat(store.path(sha256)).st_mode & 0o777 == 0o500


def test_a_chunk_beyond_what_has_arrived_is_refused(device, blob):
    with pytest.raises(Refused) as refused:
        put(device, blob, CHUNK_BYTES, len(blob))
    assert refused.value.kind == "bad-request"


def test_a_damaged_blob_is_removed_and_may_be_sent_again(device, state_dir, blob):
    damaged = blob[:-1] + b"?"
    put(device, blob, 0, CHUNK_BYTES)
    with pytest.raises(Refused) as refused:
        device.ask("blob-put", damaged[CHUNK_BYTES:], sha256=sha256_of(blob), size=len(blob), offset=CHUNK_BYTES)
    assert refused.value.kind == "blob-corrupt"
    assert os.listdir(os.path.join(state_dir, "blobs")) == []
    assert device.upload(blob) == len(blob)


def test_what_a_power_cut_left_of_a_partial_is_found_out(device, state_dir, blob):
    put(device, blob, 0, CHUNK_BYTES)
    with open(blob_path(state_dir, sha256_of(blob)) + ".partial", "r+b") as file:
        file.write(b"\0" * 4096)
    with pytest.raises(Refused) as refused:
        device.upload(blob)
    assert refused.value.kind == "blob-corrupt"
    assert device.upload(blob) == len(blob)


def test_a_partial_of_the_full_size_is_sent_again(device, state_dir, blob):
    put(device, blob, 0, CHUNK_BYTES)
    with open(blob_path(state_dir, sha256_of(blob)) + ".partial", "wb") as file:
        file.write(blob)
    assert missing(device, blob)[0]["offset"] == 0
    assert device.upload(blob) == len(blob)


def test_an_empty_blob_is_a_blob(device):
    assert device.upload(b"") == 0
    assert missing(device, b"") == []


def test_a_blob_larger_than_the_disk_is_refused_before_it_fills_it(device, blob):
    free = device.ask("blobs", blobs=[])["free_bytes"]
    with pytest.raises(Refused) as refused:
        device.ask("blob-put", blob[:1000], sha256=sha256_of(blob), size=free * 2, offset=0)
    assert refused.value.kind == "disk-full"
    assert refused.value.answer["needed_bytes"] == free * 2
    assert refused.value.answer["free_bytes"] > 0


def archive_of(*members):
    """Return a zip of (name, content, unix mode) members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return packed.getvalue()


@pytest.fixture
def unpack(tmp_path):
    def unpack_archive(data, is_interrupted=lambda: False):
        (tmp_path / "archive").write_bytes(data)
        return BundleStore(str(tmp_path / "bundles")).unpack(str(tmp_path / "archive"), "a" * 64, is_interrupted)

    return unpack_archive


def test_a_bundle_is_unpacked_with_its_folders_and_its_executables(unpack):
    members = [("pkg/", b"", 0o40755), ("pkg/module.py", b"x = 1", 0o100644), ("bin/tool", b"#!/bin/sh\n", 0o100755)]
    home = unpack(archive_of(*members))
    with open(os.path.join(home, "pkg", "module.py")) as file:
        assert file.read() == "x = 1"
    assert stat.S_IMODE(os.stat(os.path.join(home, "bin", "tool")).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(home, "pkg", "module.py")).st_mode) == 0o600


def test_a_bundle_is_on_the_disk_before_it_has_its_name(unpack, monkeypatch):
    calls = []
    sync, rename = os.sync, os.rename
    monkeypatch.setattr(os, "sync", lambda: (calls.append("sync"), sync()))
    monkeypatch.setattr(os, "rename", lambda *paths: (calls.append("rename"), rename(*paths)))
    unpack(archive_of(("a", b"first", 0o644)))
    assert calls == ["sync", "rename"]


def test_a_bundle_is_unpacked_once(unpack):
    home = unpack(archive_of(("a", b"first", 0o644)))
    assert unpack(b"no archive at all") == home


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../../up", "a\\..\\up", "..", "a/.."], ids=lambda name: name.replace("/", "_")
)
def test_a_bundle_that_would_write_elsewhere_is_refused(unpack, tmp_path, name):
    with pytest.raises(BadBundle):
        unpack(archive_of(("fine", b"", 0o644), (name, b"evil", 0o644)))
    assert sorted(os.listdir(str(tmp_path))) == ["archive", "bundles"]
    assert os.listdir(str(tmp_path / "bundles")) == []


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600, stat.S_IFCHR | 0o600])
def test_a_bundle_with_a_link_or_a_device_is_refused(unpack, mode):
    with pytest.raises(BadBundle, match="neither a file nor a folder"):
        unpack(archive_of(("link", b"/etc/passwd", mode)))


def test_a_bundle_with_two_files_of_one_name_or_a_file_for_a_folder_is_refused(unpack):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive_of(("a", b"1", 0o644), ("a", b"2", 0o644))
    with pytest.raises(BadBundle):
        unpack(twice)
    with pytest.raises(BadBundle):
        unpack(archive_of(("a", b"1", 0o644), ("a/b", b"2", 0o644)))


def test_what_is_no_archive_or_a_damaged_one_is_refused(unpack):
    good = archive_of(("a", b"content" * 100, 0o644))
    with pytest.raises(BadBundle):
        unpack(b"PK nonsense")
    with pytest.raises(BadBundle):
        unpack(good.replace(b"contentcontent", b"contentCONTENT", 1))


def test_unpacking_can_be_interrupted_and_leaves_nothing(unpack, tmp_path):
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        unpack(archive_of(("a", b"1", 0o644), ("b", b"2", 0o644)), lambda: next(answers))
    assert os.listdir(str(tmp_path / "bundles")) == []
