"""Inputs known to exhaust careless parsers: every target of a kind is fed them before anything random."""

from __future__ import annotations

import io
import stat
import zipfile

_LAUGHS = b"".join(b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 8)) for name in range(98, 123))

YAML_HAZARDS: tuple[bytes, ...] = (
    b"a: &a [x,x,x,x,x,x,x,x,x]\n" + _LAUGHS,
    b"[" * 100_000,
    b"{a: " * 100_000,
    b"- " * 100_000,
    b"a:\n" + b"".join(b" " * depth + b"a:\n" for depth in range(1, 700)),
    b"&a [*a, *a]\n",
    b"a: &a {<<: *a}\n",
    b"devices: {x: &x {<<: [*x, *x, *x]}}\n",
    b"trials: " + b"9" * 1_000_000,
    b"trials: 1e" + b"9" * 1000,
    b"trials: 0x" + b"f" * 10_000,
    b"sweep: '" + b"x" * 1_000_000 + b"'",
    b"sweep: \"\\U0010FFFF\\uD800\\0\"\n",
    b"? [a, b]\n: c\n",
    b"a: 1\na: 2\n",
    b"!!python/object/apply:os.system ['id']\n",
    b"--- a\n--- b\n",
    b"\xef\xbb\xbf\xef\xbb\xbfa: 1",
    b"\xff\xfea\0:\0 \0001\0",
    b"\x00" * 4096,
    b"%TAG ! tag:x,2000:" + b"x" * 10_000 + b"\n--- !y z",
    b"a: |" + b"9" * 30 + b"\n x",
    b"#" * 1_000_000,
    b"\n" * 1_000_000,
    b"a: .nan\nb: .inf\nc: -.inf\nd: 1e400\n",
)  # fmt: skip

JSON_HAZARDS: tuple[bytes, ...] = (
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"[" * 900 + b"]" * 900,
    b'{"seq":' + b"9" * 4300 + b"}",
    b'{"seq":' + b"9" * 100_000 + b"}",
    b'{"seq":1,"kind":NaN}',
    b'{"seq":1e400,"kind":"x"}',
    b'{"seq":true,"kind":"x"}',
    b'{"seq":1,"seq":2,"kind":"log-opened"}',
    b'{"seq":1,"kind":"\\ud800\\u0000\\u202e\\u001b[2J"}',
    b'{"seq":1,"kind":"x","a":[' + b"{}," * 80_000 + b"{}]}",
    b'{"seq":1,"kind":"' + b"x" * 1_000_000 + b'"}',
    b'"\xed\xa0\x80"',
    b"\xff\xfe{\0}\0",
)


def zip_hazards() -> tuple[bytes, ...]:
    """Return archives that no one should unpack, and one that lies about its sizes."""
    made = [
        _zip({name: b"x"})
        for name in (
            "../x",
            "/x",
            "a/../../x",
            "a/./../b",
            "\\x",
            "C:\\x",
            "a//b",
            ".",
            "..",
            "x" * 5000,
            "a\nb",
            "-rf",
        )
    ]
    made += [_zip({"x": b"/etc/passwd"}, kind) for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK)]
    bomb = _zip({"x": b"\0" * (64 << 20)})
    made += [bomb, _lying(bomb, 64 << 20, 10), _lying(bomb, 64 << 20, (1 << 32) - 2), _zip({"inner.zip": bomb})]
    made.append(_zip({f"{number}/" * 50 + "x": b"" for number in range(20)}))
    return tuple(made)


def _zip(files: dict[str, bytes], kind: int = stat.S_IFREG) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def _lying(archive: bytes, size: int, said: int) -> bytes:
    """Return the archive with another uncompressed size in its headers."""
    return archive.replace(size.to_bytes(4, "little"), said.to_bytes(4, "little"))
