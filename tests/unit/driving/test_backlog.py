"""What stands behind a long record waits in order, and each device has its turn."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.conversation import (
    PlanStarted,
    RecordsArrived,
    Report,
    SessionEnded,
    SessionId,
    SessionReport,
)
from orchestrator.domain.run import DeviceRunState, PreparedRecords, TrialChange, TrialState
from orchestrator.driving.backlog import Backlog
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.show import details_of
from orchestrator.store.ingest.ingest import LogIngest
from orchestrator.store.ingest.work import SHORT
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import EventLog, Sampled, sample_header, sample_plan
from tests.unit.driving.test_drive import (
    HAT,
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    Reply,
    ScriptedExecutor,
    followed,
    log_of,
    state,
)


def records(device: str, lines: bytes) -> SessionReport:
    count = lines.count(b"\n")
    return SessionReport(SessionId("run", device, "1"), RecordsArrived(device, "run", "log", 1, count, lines))


def end(device: str) -> SessionReport:
    return SessionReport(SessionId("run", device, "1"), SessionEnded(device))


def lines_of(report: SessionReport | None) -> bytes:
    assert report is not None
    assert isinstance(report.report, RecordsArrived)
    return report.report.lines


def test_a_long_record_is_taken_alone_and_the_rest_follows() -> None:
    backlog = Backlog()
    backlog.hold(records("pi", b"long\nshort\n"), is_long=True)
    backlog.hold(end("pi"))
    assert backlog.admit([records("pi", b"later\n"), records("hat", b"other\n")]) == [records("hat", b"other\n")]
    assert lines_of(backlog.take_long()) == b"long\n"
    # While the long record is being read, nothing of its device is handled, and nothing else is to do.
    assert backlog.admit([]) == []
    assert "pi" in backlog
    assert not backlog
    backlog.give_back()
    rest = backlog.admit([])
    assert [lines_of(one) for one in rest if isinstance(one.report, RecordsArrived)] == [b"short\n", b"later\n"]
    assert rest[1] == end("pi")
    assert not backlog


def test_each_device_has_its_turn() -> None:
    backlog = Backlog()
    for name in ("a", "b"):
        backlog.hold(records(name, b"long 1\nlong 2\n"), is_long=True)
    turns = []
    for _ in range(4):
        one = backlog.take_long()
        assert one is not None
        turns.append(one.session.device)
        assert backlog.take_long() is None
        backlog.give_back()
        for rest in backlog.admit([]):  # each begins with a long record again
            backlog.hold(rest, is_long=True)
    assert turns == ["a", "b", "a", "b"]
    assert not backlog


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from([b"long", b"short"]), min_size=1, max_size=4)),
        max_size=12,
    )
)
def test_every_line_comes_once_and_in_the_order_of_its_device(arrivals: list[tuple[str, list[bytes]]]) -> None:
    """A store that takes short lines of all devices, and one long line in a step."""
    backlog = Backlog()
    sent: dict[str, list[bytes]] = defaultdict(list)
    stored: dict[str, list[bytes]] = defaultdict(list)
    waiting: list[SessionReport] = []
    taken: SessionReport | None = None
    for number, (device, kinds) in enumerate(arrivals):
        lines = [kind + b" %d.%d\n" % (number, place) for place, kind in enumerate(kinds)]
        sent[device] += lines
        waiting.append(records(device, b"".join(lines)))
    steps = 0
    while waiting or backlog or taken:
        due, waiting = waiting[:2], waiting[2:]
        for report in backlog.admit(due):
            device, lines = report.session.device, lines_of(report).splitlines(keepends=True)
            while lines and lines[0].startswith(b"short") and device not in backlog:
                stored[device].append(lines.pop(0))
            if lines:
                backlog.hold(records(device, b"".join(lines)), is_long=True)
        long = backlog.take_long()
        if long is not None:
            taken = long
        elif taken is not None:  # read in the meantime, as the steps before have taken nothing
            stored[taken.session.device].append(lines_of(taken))
            backlog.give_back()
            taken = None
        steps += 1
        assert steps < 200
    assert stored == sent


# ---- In a driver


HEAVY = [Sampled("latency_ns", [1] * (SHORT.samples + 1))]
WIDE = [1 << place for place in range(62)] * 4


def test_a_record_of_many_rows_is_long_though_its_bytes_and_samples_are_few(store: Store) -> None:
    log = log_of(PI)
    trials = sample_plan(PI, SWEEP, MODEL).trials
    log.started(trials[0].key).finished(trials[0].key, [Sampled("latency_ns", [5])])
    log.started(trials[1].key).finished(trials[1].key, [Sampled(f"spread_{one}_ns", WIDE) for one in range(60)])
    assert len(log.lines[-1]) < SHORT.size
    executor = ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, log.log_id)]})
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    Driver(RUN, Intent.DETACH, DriverTools(store, executor, SilentDisplay(), Planner())).drive([PI])
    (ingested,) = store.logs.ingest([log.arrived()], short_only=True)
    assert (ingested.left, ingested.left_is_long) == (log.lines[-1], True)
    assert store.logs.ingest([log.arrived(log.last_seq)])[0].left == b""


def test_the_long_records_of_a_device_come_behind_the_short_ones_of_the_others(store: Store) -> None:
    """One transaction has the short records of both devices, and then each long record has its own."""
    logs = {device.name: log_of(device) for device in (PI, HAT)}
    for device, metrics in ((PI, HEAVY), (HAT, [Sampled("latency_ns", [5])])):
        log = logs[device.name]
        for trial in sample_plan(device, SWEEP, MODEL).trials:
            log.started(trial.key).finished(trial.key, metrics)
        log.run_finished()
    changes: list[tuple[str, TrialState]] = []

    class Display(SilentDisplay):
        def changed(self, change: TrialChange) -> None:
            changes.append((change.device, change.state))

    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI, HAT])

    def script(log: EventLog) -> Reply:
        return lambda command: [PlanStarted(log.device, RUN, log.log_id), *followed(log)]

    executor = ScriptedExecutor({name: script(log) for name, log in logs.items()})
    Driver(RUN, Intent.RUN, DriverTools(store, executor, Display(), Planner())).drive([PI, HAT])

    outcome = details_of(store, RUN)
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.COMPLETE)
    first_heavy = changes.index(("pi-03", TrialState.MEASURED))
    assert {device for device, _ in changes[first_heavy:]} == {"pi-03"}
    assert changes.count(("pi-03", TrialState.MEASURED)) == changes.count(("pi-04", TrialState.MEASURED))


def test_while_a_long_record_is_read_the_results_of_other_devices_are_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other device sends its results once the reading has begun, and the reading goes on until they are stored."""
    logs = {device.name: log_of(device) for device in (PI, HAT)}
    for device, metrics in ((PI, HEAVY), (HAT, [Sampled("latency_ns", [5])])):
        for trial in sample_plan(device, SWEEP, MODEL).trials:
            logs[device.name].started(trial.key).finished(trial.key, metrics)
        logs[device.name].run_finished()
    ended = threading.Event()
    waits: list[bool] = []
    prepare = LogIngest.prepare

    def long_reading(self: LogIngest, arrived: RecordsArrived) -> PreparedRecords:
        if not waits:
            for report in followed(logs["pi-04"]):
                executor.emit(report)
        waits.append(ended.wait(30.0))
        return prepare(self, arrived)

    class Display(SilentDisplay):
        def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
            if device == "pi-04":
                ended.set()

    def begins(log: EventLog, *more: Report) -> Reply:
        return lambda command: [PlanStarted(log.device, RUN, log.log_id), *more]

    monkeypatch.setattr(LogIngest, "prepare", long_reading)
    pi, hat = logs["pi-03"], logs["pi-04"]
    executor = ScriptedExecutor({"pi-03": begins(pi, *followed(pi)), "pi-04": begins(hat)})
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI, HAT])
    Driver(RUN, Intent.RUN, DriverTools(store, executor, Display(), Planner())).drive([PI, HAT])

    outcome = details_of(store, RUN)
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.COMPLETE)
    assert waits == [True] * len(waits)
    assert len(waits) == len(sample_plan(PI, SWEEP, MODEL).trials)
