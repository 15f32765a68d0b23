"""Which records of what arrived are new, and where a log stops making sense."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.ingest.log_reader import LogKey, read_records
from orchestrator.testing.event_logs import EventLog, sample_device, sample_model, sample_plan, sample_sweep

PLAN = sample_plan(sample_device(), sample_sweep(), sample_model())
KEY = LogKey("run", "pi-03", "log-1")


def log_of(records: int) -> EventLog:
    log = EventLog("run", PLAN)
    while log.last_seq < records:
        log.runner_started()
    return log


@given(st.integers(1, 8), st.integers(0, 8), st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=4))
def test_pieces_that_join_are_read_once(records: int, offset: int, cuts: list[tuple[int, int]]) -> None:
    log = log_of(records)
    pieces = [b"".join(log.lines[min(cut) - 1 : max(cut)]) for cut in cuts]
    read = read_records(KEY, [piece for piece in pieces if piece], offset)
    assert [event.seq for event in read.events] == list(range(offset + 1, offset + 1 + len(read.events)))
    reached = offset
    for cut in cuts:
        seqs = [seq for seq in range(min(cut), max(cut) + 1) if seq <= records]
        if seqs and seqs[0] > reached + 1:
            assert read.bad is not None
            assert read.bad.seq == reached + 1
            break
        reached = max(reached, *seqs) if seqs else reached
    else:
        assert read.bad is None
    assert len(read.events) == max(reached - offset, 0)


@given(st.data())
def test_any_damaged_byte_stops_the_log_at_its_record(data: st.DataObject) -> None:
    log = log_of(4)
    whole = b"".join(log.lines)
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = data.draw(st.integers(1, 255))
    damaged = whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :]
    read = read_records(KEY, [damaged], 0)
    damaged_seq = sum(len(b"".join(log.lines[:n])) <= place for n in range(1, 5)) + 1
    last_newline = place == len(whole) - 1
    assert read.bad is not None or last_newline
    assert len(read.events) >= (read.bad.seq - 1 if read.bad else 0)
    if read.bad is not None:
        assert read.bad.seq in (damaged_seq, damaged_seq + 1)


@given(st.binary(max_size=200))
def test_garbage_is_never_a_record(garbage: bytes) -> None:
    read = read_records(KEY, [garbage], 0)
    assert read.events == []
    assert read.bad is not None
