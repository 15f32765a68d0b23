"""Samples as numpy reads them are what the worker packed."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_worker.protocol.samples import CorruptSamples, pack_samples, unpack_samples
from orchestrator.store.values.codec import load_block


@given(st.lists(st.integers(0, 2**63 - 1), max_size=50) | st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_what_was_packed_is_read(values: list[int]) -> None:
    codec, data, crc32 = pack_samples(values)
    loaded = load_block(codec, data, crc32, len(values))
    assert loaded.tolist() == values
    assert array("Q", loaded.tolist()) == unpack_samples(codec, data, crc32, len(values))


def test_the_narrow_codec_is_read_narrow() -> None:
    codec, data, crc32 = pack_samples([1, 2, 3])
    assert load_block(codec, data, crc32, 3).dtype == np.uint32


def test_a_wrong_count_is_noticed() -> None:
    codec, data, crc32 = pack_samples([1, 2, 3])
    with pytest.raises(CorruptSamples):
        load_block(codec, data, crc32, 2)
