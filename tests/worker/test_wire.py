"""Messages of Protocol Buffers, written and read without a schema. Real servers and real protobuf: the other suites."""

import pytest

from device_worker.trial.wire import Malformed, Message, data, number, numbers, text


def test_what_is_written_is_read_back():
    written = b"".join(
        (
            number(1, 7),
            number(2, -3),
            text(3, "für"),
            numbers(4, [0, -1, 300, 1 << 62]),
            number(4, 5),
            data(5, text(1, "inner")),
            data(5, b""),
            number(1, 1 << 40),
        )
    )
    message = Message(written)
    assert (message.number(1), message.numbers(1), message.number(2)) == (1 << 40, [7, 1 << 40], -3)
    assert (message.text(3), message.numbers(4)) == ("für", [0, -1, 300, 1 << 62, 5])
    assert [inner.text(1) for inner in message.messages(5)] == ["inner", ""]


def test_absent_fields_have_the_defaults():
    message = Message(b"")
    assert (message.number(1), message.text(1), message.numbers(1), message.data(1)) == (0, "", [], [])
    assert message.message(9).text(1) == ""
    assert message.by_key(2) == {}


def test_a_map_is_read_by_its_keys():
    entries = [data(2, text(1, key) + data(2, number(1, value))) for key, value in (("a", 1), ("b", 2))]
    assert {key: value.number(1) for key, value in Message(b"".join(entries)).by_key(2).items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "fixed", [b"\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\x40", b"\x0a\x08\x00\x00\x80\x3f\x00\x00\x00\x40"]
)
def test_numbers_of_fixed_size_are_one_row_however_they_were_written(fixed):
    assert Message(fixed).row(1) == b"\x00\x00\x80\x3f\x00\x00\x00\x40"


@pytest.mark.parametrize(
    "content",
    [b"\x0a", b"\x0a\x05abc", b"\x08", b"\x08" + b"\xff" * 11, b"\x0b", b"\x0d\x00", b"<html>", b'{"outputs": []}'],
)
def test_bytes_that_are_no_message_are_told(content):
    with pytest.raises(Malformed, match="no message of Protocol Buffers"):
        Message(content)
    with pytest.raises(Malformed):
        Message(data(1, b"\xff")).numbers(1)
