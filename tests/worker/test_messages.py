"""The framing of the conversation."""

import pytest

from device_worker.protocol.messages import (
    MESSAGE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    BadMessage,
    MessageReader,
    encode_message,
)


def reader_of(data, piece=7):
    """Return a reader of bytes that come a few at a time."""
    remaining = bytearray(data)

    def read(size):
        taken = bytes(remaining[: min(size, piece)])
        del remaining[: len(taken)]
        return taken

    return MessageReader(read)


def test_messages_with_and_without_payload_come_back_as_they_were_sent():
    payload = bytes(range(256)) * 40
    stream = encode_message({"type": "facts"}) + encode_message({"type": "blob-put", "n": 3}, payload)
    reader = reader_of(stream + encode_message({"type": "status", "text": "ü\n"}))
    assert reader.read_message() == ({"type": "facts"}, b"")
    assert reader.read_message() == ({"type": "blob-put", "n": 3}, payload)
    assert reader.read_message() == ({"type": "status", "text": "ü\n"}, b"")
    assert reader.read_message() == (None, b"")


def test_a_stream_that_ends_anywhere_inside_a_message_is_refused():
    stream = encode_message({"type": "blob-put"}, b"payload")
    for end in range(1, len(stream)):
        with pytest.raises(BadMessage):
            reader_of(stream[:end]).read_message()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"nonsense\n",
        b"\xff\xfe\n",
        b'{"type": 3}\n',
        b'{"type": "x", "payload_bytes": -1}\n',
        b'{"type": "x", "payload_bytes": true}\n',
        b'{"type": "x", "payload_bytes": "7"}\n',
        b'{"type": "x", "payload_bytes": %d}\n' % (PAYLOAD_BYTES_MAX + 1),
        b"[" * 100000 + b"\n",
    ],
)
def test_what_is_not_a_message_is_refused(line):
    with pytest.raises(BadMessage):
        reader_of(line, piece=65536).read_message()


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    endless = MessageReader(lambda size: b"x" * size)
    with pytest.raises(BadMessage, match="more than"):
        endless.read_message()
    assert len(endless._buffer) <= MESSAGE_BYTES_MAX + 65536


def test_a_reader_tells_that_a_whole_header_is_waiting():
    stream = encode_message({"type": "a"}) + encode_message({"type": "b"})
    reader = reader_of(stream, piece=len(stream))
    assert not reader.buffered
    reader.read_message()
    assert reader.buffered
    reader.read_message()
    assert not reader.buffered
