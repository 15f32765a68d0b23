"""Write zip archives reproducibly: names, contents and execute bits decide all bytes."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from orchestrator.domain.errors import BundleError

FORMAT_VERSION = 1
"""Raise this number with any change of the bytes written for a given tree. Bundles are then built again."""

STORED = 0
"""Compression level of an archive whose bytes must not depend on the zlib in use."""

BUNDLE_LEVEL = 5
"""The knee of zlib's curve on real bundles: 2 % larger than level 6 in two thirds of its time; level 9 takes 2.6 times
as long as 6 for another 0.8 %."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that zip can express
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """Describe one file of an archive: the POSIX name in the archive, and the content as a file or as bytes."""

    name: str
    source: Path | bytes
    executable: bool = False


def members_of(tree: Path, keep: Callable[[str], bool] = lambda _name: True) -> list[Member]:
    """Return the files below `tree` as members, in order of name.

    `keep` decides by a file's POSIX name relative to `tree`. Caches of bytecode and empty folders are left out. A link
    to a file inside the tree is replaced by a copy of the file. Raise BundleError for any other link, and for anything
    but files and folders, because the archive must mean the same on another machine.
    """
    root = tree.resolve()
    members = [_member(root, path, name) for path, name in _walk(root, "") if keep(name)]
    return sorted(members, key=lambda member: member.name)


def write_archive(stream: BinaryIO, members: Iterable[Member], level: int = BUNDLE_LEVEL) -> None:
    """Write a zip archive of `members` in order of name.

    Dates and modes are fixed. Contents are streamed, so that memory is bounded. `level` is zlib's, or STORED.
    """
    with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
        for member in sorted(members, key=lambda member: member.name):
            with _open(member.source) as source:
                size = source.seek(0, os.SEEK_END)
                source.seek(0)
                with archive.open(_info(member, size, level), "w") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK_BYTES)


def archive_bytes(members: Iterable[Member], level: int = BUNDLE_LEVEL) -> bytes:
    """Return an archive of `members` as bytes. The whole archive is held in memory."""
    stream = BytesIO()
    write_archive(stream, members, level)
    return stream.getvalue()


def _walk(folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path), name
            # Bytecode depends on the Python of the controller and on dates.
            elif entry.name != "__pycache__":
                yield from _walk(Path(entry.path), name + "/")


def _member(root: Path, path: Path, name: str) -> Member:
    target = path
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            raise BundleError(f"{path} is a link that leads out of {root}", hint="replace it by the file itself")
    try:
        mode = target.stat().st_mode
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise BundleError(f"{path} is not a regular file", hint="only files and folders can be packed")
    return Member(name, target, executable=bool(mode & stat.S_IXUSR))


def _open(source: Path | bytes) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _info(member: Member, size: int, level: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(member.name, _EPOCH)
    info.create_system = 3  # Unix, so that unpackers heed the modes below
    info.external_attr = (stat.S_IFREG | (0o755 if member.executable else 0o644)) << 16
    info.file_size = size  # tells zipfile whether this member needs zip64
    info.compress_type = zipfile.ZIP_STORED if level == STORED else zipfile.ZIP_DEFLATED
    info._compresslevel = level  # type: ignore[attr-defined]  # no public way to set it for a streamed member before 3.13
    return info
