"""Pack raw samples: unsigned integers, byte-shuffled, deflated, with a checksum.

Latencies in nanoseconds differ mostly in the low bytes. A block therefore holds all first bytes, then all second bytes
and so on, and deflate removes the repetition. A sample takes about 3 bytes, and a database row would take 50 to 150.
`u32` holds up to 4.29 s in nanoseconds, `u64` longer times. Every block names its codec.
"""

from __future__ import annotations

import base64
import sys
import zlib
from array import array

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Any, Sequence

CODECS = {"u32-shuffle-zlib": 4, "u64-shuffle-zlib": 8}
"""Bytes per sample before compression, by codec. Samples are little-endian."""

SAMPLES_MAX = 4000000


class CorruptSamples(ValueError):
    """The content of a block does not agree with the block's codec, count and checksum."""


def pack_samples(values: Sequence[int] | array[int]) -> tuple[str, bytes, int]:
    """Return (codec, data, CRC-32 of data) for a list or array of non-negative integers."""
    wide = len(values) > 0 and max(values) > 0xFFFFFFFF
    codec = "u64-shuffle-zlib" if wide else "u32-shuffle-zlib"
    width = CODECS[codec]
    words = array("Q" if wide else "I", values)
    if words.itemsize != width:  # "I" is 4 bytes on every platform that CPython supports today
        raise CorruptSamples("this platform's unsigned int has %d bytes" % words.itemsize)
    if sys.byteorder == "big":
        words.byteswap()
    plain = words.tobytes()
    data = zlib.compress(b"".join(plain[offset::width] for offset in range(width)), 6)
    return codec, data, zlib.crc32(data)


def encode_block(values: Sequence[int] | array[int]) -> dict[str, Any]:
    """Return packed samples as a JSON object."""
    codec, data, crc32 = pack_samples(values)
    return {"codec": codec, "count": len(values), "crc32": crc32, "data": base64.b64encode(data).decode("ascii")}


def decode_block(block: Any) -> array[int]:
    """Return the samples in an object of `encode_block`. Raise CorruptSamples for any other value."""
    try:
        codec, count, crc32 = block["codec"], block["count"], block["crc32"]
        data = base64.b64decode(block["data"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptSamples("not a block of samples: %r" % (error,)) from None
    if not isinstance(codec, str) or type(count) is not int or type(crc32) is not int:
        raise CorruptSamples("not a block of samples")
    return unpack_samples(codec, data, crc32, count)


def unpack_samples(codec: str, data: bytes, crc32: int, count: int) -> array[int]:
    """Return the samples of a block as array("Q"). Raise CorruptSamples if codec, count or CRC-32 disagree."""
    shuffled = inflate_block(codec, data, crc32, count)
    width = CODECS[codec]
    plain = bytearray(len(shuffled))
    for offset in range(width):
        plain[offset::width] = shuffled[offset * count : (offset + 1) * count]
    words = array("I" if width == 4 else "Q")
    words.frombytes(bytes(plain))
    if sys.byteorder == "big":
        words.byteswap()
    return array("Q", words)


def inflate_block(codec: str, data: bytes, crc32: int, count: int) -> bytes:
    """Return the checked, still shuffled bytes of a block: `count` first bytes, `count` second bytes, …

    Raise CorruptSamples if codec, count or CRC-32 disagree.
    """
    if codec not in CODECS:
        raise CorruptSamples("unknown codec %r" % (str(codec)[:80],))
    if not 0 <= count <= SAMPLES_MAX:
        raise CorruptSamples("%r samples in one block" % (count,))
    if zlib.crc32(data) != crc32:
        raise CorruptSamples("checksum mismatch in a block of %d samples" % count)
    size = count * CODECS[codec]
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, size + 1)  # bounded: a small block may inflate to gigabytes
    except zlib.error as error:
        raise CorruptSamples("not deflated: %s" % error) from None
    if len(plain) != size or not inflater.eof:
        raise CorruptSamples("a block of %d samples does not hold %d bytes" % (count, size))
    return plain
