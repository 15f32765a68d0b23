"""The codec of raw samples."""

import random
from array import array

import pytest

from device_worker.protocol.samples import (
    SAMPLES_MAX,
    CorruptSamples,
    decode_block,
    encode_block,
    pack_samples,
    unpack_samples,
)


@pytest.mark.parametrize(
    "values",
    [[], [0], [1, 2, 3], [0xFFFFFFFF], [0x100000000], [2**64 - 1, 0], list(range(0, 300000, 7))],
    ids=["none", "zero", "few", "u32-max", "u64-min", "u64-max", "many"],
)
def test_samples_come_back_as_they_were_packed(values):
    assert decode_block(encode_block(values)) == array("Q", values)
    assert decode_block(encode_block(array("Q", values))) == array("Q", values)


def test_the_codec_follows_the_largest_sample():
    assert pack_samples([0xFFFFFFFF])[0] == "u32-shuffle-zlib"
    assert pack_samples([0x100000000])[0] == "u64-shuffle-zlib"


def test_latencies_take_about_three_bytes_each():
    source = random.Random(7)
    latencies = [int(source.lognormvariate(13, 0.05)) for _ in range(50000)]
    assert len(pack_samples(latencies)[1]) / 50000 < 3.2


def test_a_block_that_says_something_else_than_it_holds_is_refused():
    codec, data, crc32 = pack_samples([1, 2, 3, 4])
    for wrong in [
        ("u16", data, crc32, 4),
        ("u64-shuffle-zlib", data, crc32, 4),
        (codec, data, crc32 ^ 1, 4),
        (codec, data[:-1], crc32, 4),
        (codec, data, crc32, 3),
        (codec, data, crc32, 5),
        (codec, data, crc32, -1),
        (codec, data, crc32, SAMPLES_MAX + 1),
    ]:
        with pytest.raises(CorruptSamples):
            unpack_samples(*wrong)


def test_a_block_that_inflates_without_end_is_refused():
    import zlib

    bomb = zlib.compress(b"\0" * (64 << 20))
    with pytest.raises(CorruptSamples):
        unpack_samples("u32-shuffle-zlib", bomb, zlib.crc32(bomb), 10)


@pytest.mark.parametrize("block", [None, [], {}, {"codec": "u32-shuffle-zlib", "count": 1, "crc32": 0, "data": "!"}])
def test_what_is_not_a_block_is_refused(block):
    with pytest.raises(CorruptSamples):
        decode_block(block)
