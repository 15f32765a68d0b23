"""Read packed samples into numpy arrays: the counterpart of `device_worker.protocol.samples`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from device_worker.protocol.limits import INTEGER_MAX
from device_worker.protocol.samples import CODECS, CorruptSamples, inflate_block


def load_block(codec: str, data: bytes, crc32: int, count: int) -> NDArray[np.unsignedinteger]:
    """Return the samples of a block in order, as u32 or u64 by codec.

    Raise CorruptSamples if the data do not match the codec, the CRC-32 or the count.
    """
    shuffled = np.frombuffer(inflate_block(codec, data, crc32, count), dtype=np.uint8)
    width = CODECS[codec]
    # A block holds the first bytes of all samples, then all second bytes, and so on, because such bytes pack better.
    plain = np.ascontiguousarray(shuffled.reshape(width, count).T)
    samples: NDArray[np.unsignedinteger] = plain.view(f"<u{width}").reshape(count)
    # Both databases keep integers of 64 bits with a sign.
    if width == 8 and count and int(samples.max()) > INTEGER_MAX:
        raise CorruptSamples("a sample of more than 63 bits")
    return samples
