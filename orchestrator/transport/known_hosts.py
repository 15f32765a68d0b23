"""Files of host keys as OpenSSH writes and reads them, known to the line.

Written here and not left to paramiko, which knows neither patterns nor revoked keys, tells no line numbers, and gives
up on a whole file over one damaged line.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SSH_PORT = 22
_HASHED = "|1|"
_REVOKED = "@revoked"
_SHORT_NAMES = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA"}


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key that a host shows."""

    algorithm: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint as OpenSSH prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def type_name(self) -> str:
        """The key's type as `ssh-keygen -l` names it."""
        if self.algorithm.startswith("ecdsa-sha2-"):
            return "ECDSA"
        return _SHORT_NAMES.get(self.algorithm, self.algorithm)

    @property
    def bits(self) -> int | None:
        """The key's length as `ssh-keygen -l` tells it; None for a type that is not known here."""
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
        """The key as it stands in files."""
        return base64.b64encode(self.blob).decode()

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.type_name})"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key on record for a host, and where."""

    key: HostKey
    path: Path
    line: int
    revoked: bool = False

    @property
    def place(self) -> str:
        """FILE:LINE, for people to find it."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class HostName:
    """What a host is called in these files: a name, and a port unless the usual one or an alias stands for both."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        return self.name if self.port in {None, SSH_PORT} else f"[{self.name}]:{self.port}"


def find(host: HostName, files: Iterable[Path]) -> tuple[KnownKey, ...]:
    """Return the keys on record for a host, in the order of the files; files that are not there are empty."""
    return tuple(_find(str(host), files))


def append(host: HostName, key: HostKey, path: Path) -> KnownKey:
    """Add a key to a file that this user alone may read; the line is written as a whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.fchmod(descriptor, 0o600)
        before = file.read()
        missing_newline = b"" if not before or before.endswith(b"\n") else b"\n"
        line = f"{host} {key.algorithm} {key.base64}\n".encode()
        if file.write(missing_newline + line) != len(missing_newline + line):
            os.ftruncate(descriptor, len(before))
            raise OSError(f"{path}: the disk is full")
        os.fsync(descriptor)
    return KnownKey(key, path, (before + missing_newline).count(b"\n") + 1)


def _find(name: str, paths: Iterable[Path]) -> Iterator[KnownKey]:
    for path in paths:
        with suppress(OSError):  # as ssh does: what cannot be read holds no key
            for number, marker, patterns, key in _lines(path, _stamp(path)):
                if _matches(name.lower(), patterns):
                    yield KnownKey(key, path, number, revoked=marker == _REVOKED)


def _stamp(path: Path) -> tuple[int, int, int]:
    info = path.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


@lru_cache(maxsize=64)
def _lines(path: Path, _version: tuple[int, int, int]) -> tuple[tuple[int, str, str, HostKey], ...]:
    """Return the lines that hold a key, by number; many devices share one file, which is read once per version."""
    lines = enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
    return tuple((number, *found) for number, line in lines if (found := _parse(line)) is not None)


def _parse(line: str) -> tuple[str, str, HostKey] | None:
    """Split a line into marker, host patterns and key; None if it holds no key of a host.

    A certificate authority's key is not a host's.
    """
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3 or marker not in {"", _REVOKED}:
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
        if _matches_pattern(name, pattern.removeprefix("!")):
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


def _matches_pattern(name: str, pattern: str) -> bool:
    """Match `*` and `?` in steps that only grow with both lengths: a regular expression may take for ever."""
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
