"""Spoil bytes as broken disks, torn writes and unfriendly people do; the same seed spoils the same way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LENGTH_MAX = 256 << 10
"""Inputs do not grow beyond this: what is larger is refused by size alone, which has tests of its own."""

TOKENS: tuple[bytes, ...] = (
    b"\0", b"\n", b"\r\n", b"\t", b"\x1b[31m", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae",
    b"\xe2\x80\xa8", b"\\ud800", b"\\u0000", b"\\u202e", b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b".inf",
    b".nan", b"1e999", b"-1", b"0", b"-0.0", b"1e-400", b"2147483648", b"4294967296", b"9223372036854775808",
    b"18446744073709551616", b"9" * 400, b"9" * 5000, b"[", b"]", b"{", b"}", b"[" * 2000, b'{"a":' * 500, b'"', b"'",
    b",", b":", b"- ", b"? ", b"&a ", b"*a", b"<<: *a", b"!!python/object/apply:os.system [id]", b"!!binary |",
    b"%YAML 9", b"---\n", b"...", b"#", b"|\n", b"../../etc/passwd", b"/etc/passwd",
    b"~root", b"~nobody-here/x", b"$(id)", b"`id`",
    b"; id", b"-oProxyCommand=id",
    b"x" * 300, b"x" * 70_000, b"\xc2\xb2", b"\xd9\xa1",
)  # fmt: skip


def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return one input: a corpus entry, spoilt once or several times."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 8))):
        rng.choice(_WAYS)(rng, data, corpus)
    return bytes(data[:LENGTH_MAX])


def _flip(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _insert_token(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    place = rng.randint(0, len(data))
    data[place:place] = rng.choice(TOKENS)


def _replace_word(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    """Put a token in the place of a whole word: a number, a name, a key."""
    if not data:
        return
    begin = end = rng.randrange(len(data))
    while begin > 0 and _is_word(data[begin - 1]):
        begin -= 1
    while end < len(data) and _is_word(data[end]):
        end += 1
    data[begin:end] = rng.choice(TOKENS)


def _is_word(byte: int) -> bool:
    return chr(byte).isalnum() or byte in b"_.+-"


def _delete(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    begin, end = _span(rng, data)
    del data[begin:end]


def _repeat(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    begin, end = _span(rng, data)
    times = rng.choice((1, 2, 10, 100))
    data[end:end] = bytes(data[begin:end] * times)[:LENGTH_MAX]


def _cut(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    del data[rng.randint(0, len(data)) :]


def _splice(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    """Go on with the end of another corpus entry."""
    other = rng.choice(corpus)
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def _swap_lines(rng: random.Random, data: bytearray, _corpus: Sequence[bytes]) -> None:
    lines = bytes(data).split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    data[:] = b"\n".join(lines)


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    begin = rng.randint(0, len(data))
    return begin, min(len(data), begin + rng.choice((1, 2, 4, 16, 64, 256)))


_WAYS: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip, _overwrite, _insert_token, _replace_word, _replace_word, _delete, _repeat, _cut, _splice, _swap_lines,
)  # fmt: skip
