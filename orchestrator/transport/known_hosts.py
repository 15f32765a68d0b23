"""Read and append files of host keys in the format of OpenSSH, with line numbers.

Paramiko's own reader knows neither patterns nor revoked keys, gives no line numbers, and gives up a whole file over a
single damaged line. Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SSH_PORT = 22
_HASHED = "|1|"
_REVOKED = "@revoked"
_AUTHORITY = "@cert-authority"
_PATTERN_SIGNS = frozenset("*?!")
_SHORT_NAMES = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA"}


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key of a host: algorithm and binary blob."""

    algorithm: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint in the format of OpenSSH."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def type_name(self) -> str:
        """The key's type in the words of `ssh-keygen -l`."""
        if self.algorithm.startswith("ecdsa-sha2-"):
            return "ECDSA"
        return _SHORT_NAMES.get(self.algorithm, self.algorithm)

    @property
    def bits(self) -> int | None:
        """The key's length in bits, or None for an unknown type."""
        if self.algorithm == "ssh-ed25519":
            return 256
        if curve := re.fullmatch(r"ecdsa-sha2-nistp(\d+)", self.algorithm):
            return int(curve[1])
        if self.algorithm == "ssh-rsa":
            fields = _fields(self.blob)
            return int.from_bytes(fields[-1], "big").bit_length() if fields else None
        return None

    @property
    def base64(self) -> str:
        """The key in the form of the files."""
        return base64.b64encode(self.blob).decode()

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.type_name})"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key on record for a host, with file and line. An authority's key signs the certificates of hosts."""

    key: HostKey
    path: Path
    line: int
    revoked: bool = False
    authority: bool = False

    @property
    def place(self) -> str:
        """FILE:LINE of the key, for people."""
        return f"{self.path}:{self.line}"


_Line = tuple[int, str, str, HostKey]
"""A line with a key: number, marker, host patterns and key."""


@dataclass(frozen=True, slots=True)
class HostName:
    """The name of a host in the files: a name, and a port unless the port is 22 or the name is an alias."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        return self.name if self.port in {None, SSH_PORT} else f"[{self.name}]:{self.port}"


def find(host: HostName, files: Iterable[Path]) -> tuple[KnownKey, ...]:
    """Return the keys on record for a host, in the order of the files. A missing file counts as empty.

    The keys of certificate authorities are left to `find_authorities`.
    """
    return tuple(known for known in _find(str(host), files) if not known.authority)


def find_authorities(host: HostName, files: Iterable[Path]) -> tuple[KnownKey, ...]:
    """Return the keys of the certificate authorities for a host, in the order of the files."""
    return tuple(known for known in _find(str(host), files) if known.authority)


def find_printed(host: HostName, text: str, command: Path) -> tuple[KnownKey, ...]:
    """Return the keys for a host, and those of authorities, in the lines that a command has printed."""
    return tuple(_matching(str(host), _parsed(text), command))


def read_keys(text: str) -> tuple[HostKey, ...] | None:
    """Return the public keys of a list, a key a line, or None for a list that is not of text."""
    keys: list[HostKey] = []
    for line in text.splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            keys.append(HostKey(fields[0], base64.b64decode(fields[1], validate=True)))
        except (ValueError, IndexError):
            return None
    return tuple(keys)


def append(host: HostName, key: HostKey, path: Path) -> KnownKey:
    """Append a key to a file that only the user may read. Raise OSError if the whole line cannot be written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another command may enroll a device at the same time
        os.fchmod(descriptor, 0o600)
        before = file.read()
        # A person's editor may have left the last line without an end.
        missing_newline = b"" if not before or before.endswith(b"\n") else b"\n"
        line = f"{host} {key.algorithm} {key.base64}\n".encode()
        if file.write(missing_newline + line) != len(missing_newline + line):
            os.ftruncate(descriptor, len(before))  # half a line would spoil the next key
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    return KnownKey(key, path, (before + missing_newline).count(b"\n") + 1)


def _find(name: str, paths: Iterable[Path]) -> Iterator[KnownKey]:
    for path in paths:
        with suppress(OSError):  # as in ssh: an unreadable file holds no key
            yield from _matching(name, _index(path, _stamp(path)).of(name.lower()), path)


def _matching(name: str, lines: Iterable[_Line], path: Path) -> Iterator[KnownKey]:
    for number, marker, patterns, key in lines:
        if _matches(name.lower(), patterns):
            yield KnownKey(key, path, number, revoked=marker == _REVOKED, authority=marker == _AUTHORITY)


def _stamp(path: Path) -> tuple[int, int, int]:
    info = path.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


@dataclass(frozen=True, slots=True)
class _Index:
    """The lines of a file with a key: those of plain names by name, and those that every name has to be tried on."""

    named: Mapping[str, Sequence[_Line]]
    others: Sequence[_Line]

    def of(self, name: str) -> Sequence[_Line]:
        """Return the lines that may be of a name in lower case, in the order of the file."""
        return sorted((*self.named.get(name, ()), *self.others), key=lambda line: line[0])


@lru_cache(maxsize=64)
def _index(path: Path, _version: tuple[int, int, int]) -> _Index:
    """Return the lines with a key. `_version` makes the cache read a changed file again."""
    # Cached, since all connections of many devices read the same file. By name, since each connection looks for its own
    # line: thousands of devices that try thousands of lines each take minutes.
    named: dict[str, list[_Line]] = {}
    others: list[_Line] = []
    for line in _parsed(path.read_text("utf-8", "replace")):
        patterns = line[2]
        if patterns.startswith(_HASHED) or not _PATTERN_SIGNS.isdisjoint(patterns):
            others.append(line)
            continue
        for name in dict.fromkeys(patterns.lower().split(",")):
            named.setdefault(name, []).append(line)
    return _Index(named, others)


def _parsed(text: str) -> tuple[_Line, ...]:
    lines = enumerate(text.splitlines(), 1)
    return tuple((number, *found) for number, line in lines if (found := _parse(line)) is not None)


def _parse(line: str) -> tuple[str, str, HostKey] | None:
    """Split a line into marker, host patterns and key, or return None for a line without a key."""
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3 or marker not in {"", _REVOKED, _AUTHORITY}:
        return None
    patterns, algorithm, data = fields[:3]
    try:
        return marker, patterns, HostKey(algorithm, base64.b64decode(data, validate=True))
    except ValueError:  # damaged, or not ASCII
        return None


def _matches(name: str, patterns: str) -> bool:
    if patterns.startswith(_HASHED):
        return _matches_hash(name, patterns)
    matched = False
    for pattern in patterns.lower().split(","):
        if matches_pattern(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _matches_hash(name: str, hashed: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed.removeprefix(_HASHED).split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def matches_pattern(name: str, pattern: str) -> bool:
    """Return True if a name matches a pattern with `*` and `?`."""
    if "*" not in pattern and len(pattern) != len(name):  # most names, in files of many hosts
        return False
    # No regular expression, which could take forever for a pattern of many stars. Steps grow with both lengths only.
    at = place = 0
    star, resume = -1, 0
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", name[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


def _fields(blob: bytes) -> list[bytes]:
    """Split a key's blob into its length-prefixed fields."""
    fields = []
    while blob:
        end = 4 + int.from_bytes(blob[:4], "big")
        fields.append(blob[4:end])
        blob = blob[end:]
    return fields
