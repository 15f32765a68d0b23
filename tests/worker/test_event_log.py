"""The event log on a real disk: torn tails, damage, two writers, a reader while it grows."""

import os

import pytest

from device_worker.state.event_log import EventLog, LogBusy, RecordTooLong
from device_worker.state.log_reader import BATCH_BYTES, LogReader


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log")


def write_log(path, count, **fields):
    log = EventLog(path)
    for number in range(count):
        log.append("log-opened" if number == 0 else "trial-started", log_id="the-log", trial=f"t{number}", **fields)
    log.close()


def read_events(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(LogReader(fd).events())
    finally:
        os.close(fd)


def test_events_are_numbered_from_one_and_carry_both_clocks(path):
    write_log(path, 3)
    events = read_events(path)
    assert [event["seq"] for event in events] == [1, 2, 3]
    assert all(event["at_unix_ns"] > 1e18 and event["at_mono_ns"] > 0 for event in events)


def test_opening_replays_the_events_without_their_results(path):
    write_log(path, 2, metrics=[{"name": "latency_ns"}], outputs={"data": "x"}, outcome="ok")
    log = EventLog(path)
    assert [(event["seq"], event["outcome"], "metrics" in event) for event in log.history] == [
        (1, "ok", False),
        (2, "ok", False),
    ]
    assert (log.log_id, log.last_seq) == ("the-log", 2)
    log.close()


def test_a_tail_torn_anywhere_is_cut_off_and_the_numbers_go_on(path):
    write_log(path, 3)
    with open(path, "rb") as file:
        whole = file.read()
    second_end = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for cut in range(second_end, len(whole)):
        with open(path, "wb") as file:
            file.write(whole[:cut])
        log = EventLog(path)
        assert log.last_seq == 2
        log.append("run-finished", outcome="complete")
        log.close()
        assert [event["kind"] for event in read_events(path)] == ["log-opened", "trial-started", "run-finished"]


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"garbage\n", b"\n\n\n", b"\xff" * 100 + b"\n"])
def test_garbage_at_the_end_is_cut_off(path, tail):
    write_log(path, 2)
    with open(path, "ab") as file:
        file.write(tail)
    log = EventLog(path)
    log.append("run-finished")
    log.close()
    assert [event["seq"] for event in read_events(path)] == [1, 2, 3]


def test_a_log_damaged_before_its_end_is_set_aside_and_a_new_one_begins(path, tmp_path):
    write_log(path, 4)
    with open(path, "r+b") as file:
        file.seek(len(file.readline()) + 30)
        file.write(b"#")
    log = EventLog(path)
    assert (log.history, log.log_id, log.last_seq) == ([], None, 0)
    log.append("log-opened", log_id="another")
    log.close()
    assert [event["log_id"] for event in read_events(path)] == ["another"]
    assert len([name for name in os.listdir(str(tmp_path)) if name.startswith("log.damaged-")]) == 1


def test_one_process_at_a_time_appends(path):
    log = EventLog(path)
    with pytest.raises(LogBusy):
        EventLog(path, wait=False)
    log.close()
    EventLog(path, wait=False).close()


def test_an_event_too_long_for_a_record_is_refused_and_leaves_the_log_alone(path):
    log = EventLog(path)
    log.append("log-opened", log_id="the-log")
    with pytest.raises(RecordTooLong):
        log.append("trial-finished", data="x" * (33 << 20))
    log.append("run-finished")
    log.close()
    assert [event["seq"] for event in read_events(path)] == [1, 2]


def test_a_failed_write_leaves_the_log_as_it_was(path):
    """A file-size limit stands in for a full disk: the kernel takes part of the record, then refuses."""
    import resource
    import signal

    log = EventLog(path)
    log.append("log-opened", log_id="the-log")
    size = os.path.getsize(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log.append("trial-finished", data="x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.path.getsize(path) == size
    log.append("run-finished")
    log.close()
    assert [event["kind"] for event in read_events(path)] == ["log-opened", "run-finished"]


def test_a_reader_sees_what_is_appended_and_nothing_half_written(path):
    log = EventLog(path)
    fd = os.open(path, os.O_RDONLY)
    reader = LogReader(fd)
    assert reader.read_batch() is None
    log.append("log-opened", log_id="the-log")
    assert [event["seq"] for event in reader.read_batch().events] == [1]
    with open(path, "ab") as file:
        file.write(b"00000000 100 {half")
    assert reader.read_batch() is None
    os.ftruncate(log._fd, log._end)
    log.append("trial-started")
    batch = reader.read_batch()
    assert [event["seq"] for event in batch.events] == [2]
    assert b"".join(batch.lines).endswith(b"\n")
    log.close()
    os.close(fd)


def test_records_longer_than_a_batch_are_read_whole(path):
    log = EventLog(path)
    log.append("log-opened", log_id="the-log")
    log.append("trial-finished", data="x" * (3 * BATCH_BYTES))
    log.append("run-finished")
    log.close()
    assert [event["seq"] for event in read_events(path)] == [1, 2, 3]


def test_a_batch_after_a_number_holds_the_rest(path):
    write_log(path, 5)
    fd = os.open(path, os.O_RDONLY)
    batch = LogReader(fd).read_batch()
    os.close(fd)
    assert [event["seq"] for event in batch.after(3).events] == [4, 5]
    assert len(batch.after(3).lines) == 2
    assert batch.after(5) is None
    assert batch.after(0).events == batch.events


def test_an_event_that_no_reader_would_take_is_not_written(path):
    log = EventLog(path)
    with pytest.raises(RecordTooLong):
        log.append("trial-finished", parts=[{}] * 600000)
    log.append("trial-started")
    log.close()
    assert [event["kind"] for event in read_events(path)] == ["trial-started"]
