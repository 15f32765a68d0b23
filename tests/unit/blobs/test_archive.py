import os
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.blobs.archive import STORED, Member, archive_bytes, members_of, write_archive
from orchestrator.domain.errors import BundleError

NAMES = st.lists(
    st.text("abcdefgxyz._-é", min_size=1, max_size=8).filter(lambda name: name.strip(".") != ""),
    min_size=1,
    max_size=3,
).map("/".join)


def write(tree: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tree


def names(archive: bytes) -> list[str]:
    return zipfile.ZipFile(BytesIO(archive)).namelist()


FILES = {"b/z.so": b"\x7fELF" * 1000, "a.py": b"x = 1\n", "b/a.py": b"", "ü.txt": "grün".encode()}


def test_the_same_tree_gives_the_same_bytes_whatever_its_dates_and_order_of_creation(tmp_path: Path) -> None:
    one = write(tmp_path / "one", FILES)
    other = write(tmp_path / "other", dict(reversed(FILES.items())))
    os.utime(other / "a.py", (time.time() + 86400, 0))
    (other / "b").chmod(0o700)
    (other / "a.py").chmod(0o600)

    assert archive_bytes(members_of(one)) == archive_bytes(members_of(other))


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=6), st.integers(0, 9))
def test_what_is_packed_comes_out_again_in_order_of_name(files: dict[str, bytes], level: int) -> None:
    archive = archive_bytes([Member(name, content) for name, content in files.items()], level)

    with zipfile.ZipFile(BytesIO(archive)) as opened:
        assert opened.namelist() == sorted(files)
        assert {name: opened.read(name) for name in opened.namelist()} == files


@pytest.mark.parametrize("change", [{"a.py": b"x = 2\n"}, {"c.py": b""}])
def test_another_tree_gives_other_bytes(tmp_path: Path, change: dict[str, bytes]) -> None:
    tree = write(tmp_path, FILES)
    before = archive_bytes(members_of(tree))

    assert archive_bytes(members_of(write(tree, change))) != before


def test_execute_bits_stay_and_all_other_mode_bits_are_fixed(tmp_path: Path) -> None:
    tree = write(tmp_path, {"run": b"#!", "read": b""})
    (tree / "run").chmod(0o4711)
    (tree / "read").chmod(0o606)

    infos = zipfile.ZipFile(BytesIO(archive_bytes(members_of(tree)))).infolist()

    assert {info.filename: oct(info.external_attr >> 16) for info in infos} == {"run": "0o100755", "read": "0o100644"}
    assert {info.create_system for info in infos} == {3}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_caches_of_bytecode_and_refused_names_stay_out(tmp_path: Path) -> None:
    tree = write(tmp_path, {"p/__pycache__/a.cpython-311.pyc": b"", "p/a.py": b"", "p/skip.txt": b""})

    kept = members_of(tree, keep=lambda name: not name.endswith(".txt"))

    assert [member.name for member in kept] == ["p/a.py"]


def test_a_link_to_a_file_inside_the_tree_is_packed_as_that_file(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"lib/real.so.1": b"code"})
    (tree / "lib/real.so").symlink_to("real.so.1")

    archive = zipfile.ZipFile(BytesIO(archive_bytes(members_of(tree))))

    assert archive.read("lib/real.so") == b"code"
    assert not any(info.external_attr >> 28 == 0xA for info in archive.infolist())


@pytest.mark.parametrize("target", ["../outside", "/etc/hostname"])
def test_a_link_that_leads_out_of_the_tree_is_refused(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"outside": b""})
    tree = write(tmp_path / "tree", {"a": b""})
    (tree / "link").symlink_to(target)

    with pytest.raises(BundleError, match="leads out of"):
        members_of(tree)


@pytest.mark.parametrize(
    ("target", "reason"), [("nowhere", "cannot read"), ("link", "cannot read"), ("folder", "not a")]
)
def test_a_link_to_anything_but_a_file_is_refused(tmp_path: Path, target: str, reason: str) -> None:
    tree = write(tmp_path, {"folder/a": b""})
    (tree / "link").symlink_to(target)

    with pytest.raises(BundleError, match=reason):
        members_of(tree)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BundleError, match="not a regular file"):
        members_of(tmp_path)


def test_a_tree_that_lies_behind_a_link_is_packed_all_the_same(tmp_path: Path) -> None:
    write(tmp_path / "real", FILES)
    (tmp_path / "link").symlink_to("real")

    assert archive_bytes(members_of(tmp_path / "link")) == archive_bytes(members_of(tmp_path / "real"))


def test_the_level_decides_how_small_an_archive_is() -> None:
    content = b"abcd" * 50_000 + bytes(range(256)) * 100
    member = Member("a", content)

    stored, fast, small = (len(archive_bytes([member], level)) for level in (STORED, 1, 9))

    assert stored > len(content) > fast > small
    assert zipfile.ZipFile(BytesIO(archive_bytes([member], STORED))).infolist()[0].compress_type == zipfile.ZIP_STORED


def test_a_large_member_is_packed_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(64 << 20)

    tracemalloc.start()
    with (tmp_path / "archive.zip").open("wb") as stream:
        write_archive(stream, [Member("big", big)], level=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8 << 20
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert archive.testzip() is None
