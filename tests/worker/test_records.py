"""The framing of the event log."""

import pytest

from device_worker.protocol.records import CorruptRecord, decode_record, encode_record, split_records

EVENTS = [
    {"seq": 1, "kind": "log-opened", "log_id": "x"},
    {"seq": 2, "kind": "trial-started", "text": "ümlaut \n newline", "n": None},
    {"seq": 3, "kind": "trial-finished", "value": 1.5e-9, "list": [1, 2, {"a": True}]},
]
LINES = [encode_record(event) for event in EVENTS]
LOG = b"".join(LINES)


def test_records_come_back_as_they_were_written():
    assert split_records(LOG) == (EVENTS, len(LOG))
    assert [decode_record(line) for line in LINES] == EVENTS


def test_a_log_cut_anywhere_keeps_exactly_its_whole_records():
    ends = [len(b"".join(LINES[:count])) for count in range(len(LINES) + 1)]
    for cut in range(len(LOG) + 1):
        whole = max(count for count, end in enumerate(ends) if end <= cut)
        assert split_records(LOG[:cut]) == (EVENTS[:whole], ends[whole])


def test_no_flipped_bit_goes_unnoticed():
    line = LINES[1]
    for position in range(len(line)):
        for bit in range(8):
            altered = bytearray(line)
            altered[position] ^= 1 << bit
            events, used = split_records(LINES[0] + bytes(altered) + LINES[2])
            assert (events, used) == (EVENTS[:1], len(LINES[0])), (position, bit)


def test_zeros_after_a_power_cut_end_the_log():
    assert split_records(LOG + b"\0" * 4096) == (EVENTS, len(LOG))


def test_a_gap_in_the_sequence_ends_the_log():
    assert split_records(LINES[0] + LINES[2]) == (EVENTS[:1], len(LINES[0]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_not_written(value):
    with pytest.raises(ValueError, match="JSON"):
        encode_record({"seq": 1, "kind": "x", "value": value})


@pytest.mark.parametrize("body", [b"[]", b'{"seq":1}', b'{"kind":"x"}', b'{"kind":"x","seq":true}', b'{"kind":"x"'])
def test_a_line_that_is_not_an_event_is_refused(body):
    import zlib

    with pytest.raises(CorruptRecord):
        decode_record(b"%08x %d %s\n" % (zlib.crc32(body), len(body), body))


def test_a_record_that_would_swell_when_it_is_parsed_is_none():
    line = encode_record({"seq": 1, "kind": "x", "parts": [{}] * 600000})
    with pytest.raises(CorruptRecord, match="parts"):
        decode_record(line)
