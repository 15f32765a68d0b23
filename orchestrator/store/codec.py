"""Read packed samples into arrays; the counterpart of `device_worker.protocol.samples` for those who have numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from device_worker.protocol.limits import INTEGER_MAX
from device_worker.protocol.samples import CODECS, CorruptSamples, inflate_block


def load_block(codec: str, data: bytes, crc32: int, count: int) -> NDArray[np.unsignedinteger]:
    """Return the samples of a block as u32 or u64, in order; raise CorruptSamples where anything disagrees."""
    shuffled = np.frombuffer(inflate_block(codec, data, crc32, count), dtype=np.uint8)
    width = CODECS[codec]
    plain = np.ascontiguousarray(shuffled.reshape(width, count).T)
    samples: NDArray[np.unsignedinteger] = plain.view(f"<u{width}").reshape(count)
    if width == 8 and count and int(samples.max()) > INTEGER_MAX:
        raise CorruptSamples("a sample of more than 63 bits")
    return samples
