"""What each attempt draws anew: the pages of its libraries and files, and the size of its environment."""

import mmap
import os
import sys

import pytest

from device_worker.runner.placement import PADDING_VARIABLE, Placements
from device_worker.system import page_cache
from worker_client import trials_of

MIB = 1 << 20


def write_synced(path, size=MIB):
    """Write a file of random bytes to the disk. Only pages that are on the disk can be dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(str(path), "wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    return str(path)


def cached_bytes(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return sum(end - begin for begin, end in page_cache._find_cached_ranges(fd))
    finally:
        os.close(fd)


@pytest.fixture
def folder(tmp_path):
    """A folder on a disk; a file system in memory never drops what it holds."""
    path = write_synced(tmp_path / "probe")
    page_cache.drop(path).close()
    if cached_bytes(path):
        pytest.skip(f"{tmp_path} is on a file system that keeps its files in memory")
    return tmp_path


def test_a_file_is_dropped_and_the_same_pages_come_back(folder):
    path = write_synced(folder / "file", MIB + 100)
    page_cache.drop(path).close()
    assert cached_bytes(path) == 0
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(fd, 2 * mmap.PAGESIZE, 10 * mmap.PAGESIZE)
    os.pread(fd, 1, MIB)
    os.close(fd)
    wanted = 2 * mmap.PAGESIZE + 100
    assert cached_bytes(path) == wanted
    dropped = page_cache.drop(path)
    assert cached_bytes(path) == 0
    assert dropped.read_again() == wanted
    assert cached_bytes(path) == wanted, "no more than there was"


def test_nothing_is_dropped_of_an_empty_file_or_of_one_that_is_not_in_memory(folder):
    assert page_cache.drop(write_synced(folder / "empty", 0)) is None
    path = write_synced(folder / "cold")
    page_cache.drop(path).close()
    assert page_cache.drop(path) is None


def test_pages_that_a_process_maps_stay_and_are_no_error(folder):
    path = write_synced(folder / "mapped")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[place] >= 0 for place in range(0, MIB, mmap.PAGESIZE)) == MIB // mmap.PAGESIZE
        dropped = page_cache.drop(path)
        assert cached_bytes(path) == MIB
        assert dropped.read_again() == MIB


def test_without_ctypes_nothing_is_dropped(folder, monkeypatch):
    monkeypatch.setattr(page_cache, "load_mincore", lambda: None)
    assert page_cache.drop(write_synced(folder / "file")) is None


@pytest.mark.parametrize("lacking", ["posix_fadvise", "mmap"])
def test_a_python_without_the_call_drops_nothing(folder, monkeypatch, lacking):
    path = write_synced(folder / "file")
    if lacking == "mmap":
        monkeypatch.setitem(sys.modules, "mmap", None)
    else:
        monkeypatch.delattr(os, lacking)
    assert Placements(7).draw("job.1", [], [path], is_measured=True).renewed_bytes == 0
    monkeypatch.undo()
    assert cached_bytes(path) == MIB


def test_a_measured_trial_that_is_the_first_of_its_runner_finds_a_warm_cache(folder):
    """As after a resume: the preflight ran under the runner before, or under another one."""
    library = write_synced(folder / "bundle" / "libx.so.1")
    placement = Placements(7).draw("job.2", [str(folder / "bundle")], [], is_measured=True)
    assert placement.renewed_bytes == MIB
    assert cached_bytes(library) == MIB


def test_libraries_of_a_bundle_and_files_of_a_job_are_renewed(folder):
    bundle = folder / "bundle"
    library = write_synced(bundle / "deep" / "libx.so.1")
    other = write_synced(bundle / "native.so")
    text = write_synced(bundle / "module.py")
    model = write_synced(folder / "model.tflite")
    placements = Placements(7)
    first = placements.draw("job.0", [str(bundle)], [model], is_measured=False)
    assert first.renewed_bytes == MIB, "of a new bundle, trials bring back what they use"
    assert [cached_bytes(path) for path in (library, other, text, model)] == [0, 0, MIB, MIB]
    with open(library, "rb") as file:
        file.read()
    assert (
        placements.draw("job.1", [str(bundle)], [model], is_measured=True).renewed_bytes == cached_bytes(library) + MIB
    )
    assert [cached_bytes(path) for path in (library, other, model)] == [MIB, 0, MIB]


def test_what_is_gone_or_large_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr("device_worker.runner.placement._FILE_BYTES_MAX", MIB - 1)
    path = write_synced(folder / "large")
    assert Placements(7).draw("job.1", [], [path, str(folder / "gone")], is_measured=True).renewed_bytes == 0
    assert cached_bytes(path) == MIB


def test_the_padding_is_drawn_by_the_seed_and_the_trial():
    def paddings(seed):
        return [Placements(seed).draw(f"job.{index}", [], [], is_measured=True).padding_bytes for index in range(40)]

    assert paddings(7) == paddings(7)
    assert paddings(7) != paddings(8)
    assert len(set(paddings(7))) > 30
    assert all(0 <= size < 4096 for size in paddings(7))


def test_an_attempt_records_its_placement(connect, plans):
    worker = connect()
    script = (
        f'#!/bin/sh\necho "{{\\"metric\\": \\"padding\\", \\"value\\": ${{#{PADDING_VARIABLE}}}}}"\n'
        "echo '{\"done\": true}'\n"
    )
    plans.add_program("job", script, trials=3)
    finished = trials_of(worker.execute("run-1", plans))
    told = [event["conditions"]["placement"]["padding_bytes"] for event in finished]
    assert told == [event["metrics"][0]["value"] for event in finished]
    assert told == [Placements(7).draw(f"job.{index}", [], [], is_measured=True).padding_bytes for index in (1, 2, 3)]
    assert all(event["conditions"]["placement"]["renewed_bytes"] >= 0 for event in finished)
