"""What every database must make of event logs: each record once, whatever the way did to it; nonsense never."""

import json
from dataclasses import dataclass, replace

import pytest

from device_worker.protocol.records import encode_record
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.run import Offset, TrialState
from orchestrator.store.ingest import events
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import EventLog
from tests.contract.planned_runs import LATENCIES, Planned, measures_of, refused, refused_in, rows, states
from tests.databases import content


@dataclass(frozen=True, slots=True)
class TraceRecorded:
    """An event of a version to come, about one trial."""

    trial: str


class TestExactlyOnce:
    def test_records_that_come_again_change_nothing(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0]).finished(planned.measures[0], [LATENCIES])
        store.logs.ingest([log.arrived()])
        before = content(store)
        for first in range(1, 5):
            (again,) = store.logs.ingest([log.arrived(first)])
            assert again.offset == Offset("log-1", 4)
            assert again.changes == ()
        assert content(store) == before

    def test_overlapping_pieces_join(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0]).finished(planned.measures[0], [LATENCIES])
        store.logs.ingest([log.arrived(1, 3)])
        (result,) = store.logs.ingest([log.arrived(2, 4)])
        assert result.offset == Offset("log-1", 4)
        assert [change.state for change in result.changes] == [TrialState.MEASURED]

    def test_pieces_of_one_log_may_come_in_one_batch(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0])
        (result,) = store.logs.ingest([log.arrived(1, 1), log.arrived(2, 2), log.arrived(2, 3)])
        assert result.offset == store.logs.offset("run", "pi-03") == Offset("log-1", 3)

    def test_a_gap_is_refused(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0])
        store.logs.ingest([log.arrived(1, 1)])
        assert "record 2 cannot be stored: record 3 arrived instead" in refused(store, log.arrived(3))
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 1)

    def test_a_device_that_lost_its_log_begins_another(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        store.logs.ingest([planned.log().runner_started().started(trial).arrived()])
        (result,) = store.logs.ingest([planned.log("log-2").started(trial).finished(trial, [LATENCIES]).arrived()])
        assert result.offset == store.logs.offset("run", "pi-03") == Offset("log-2", 3)
        attempts = rows(store, tables.attempt)
        assert [(row.ordinal, row.log_id, row.outcome, row.counted) for row in attempts] == [
            (1, "log-1", None, False),
            (2, "log-2", "ok", True),
        ]

    def test_records_of_the_old_log_are_still_known(self, store: Store, planned: Planned) -> None:
        old, new = planned.log().runner_started(), planned.log("log-2").runner_started()
        store.logs.ingest([old.arrived()])
        store.logs.ingest([new.arrived()])
        before = content(store)
        store.logs.ingest([old.arrived()])
        assert content(store) == before

    def test_a_new_log_that_does_not_begin_at_one_is_refused(self, store: Store, planned: Planned) -> None:
        store.logs.ingest([planned.log().arrived()])
        assert "record 1 cannot be stored" in refused(store, planned.log("log-2").runner_started().arrived(2))
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 1)

    def test_an_empty_batch_is_no_work(self, store: Store) -> None:
        assert list(store.logs.ingest([])) == []

    def test_no_log_has_no_offset(self, store: Store, planned: Planned) -> None:
        assert store.logs.offset("run", "pi-03") == Offset(None, 0)
        assert store.logs.offset("no-run", "no-device") == Offset(None, 0)


class TestOneDeviceDoesNotHarmAnother:
    def test_what_precedes_nonsense_is_kept_and_the_others_wait(self, store: Store, planned: Planned) -> None:
        bad = planned.log().runner_started().append("trial-started", trial="x", job="y", attempt=1)
        good = EventLog("run", planned.other).runner_started()
        assert "record 3 cannot be stored: the plan has no trial x" in refused_in(
            store, [bad.arrived(), good.arrived()]
        )
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 2)
        assert store.logs.offset("run", "nano-01") == Offset(None, 0)
        (result,) = store.logs.ingest([good.arrived()])
        assert result.device == "nano-01"
        assert result.offset == Offset("log-1", 2)

    def test_trials_of_two_devices_are_two_trials(self, store: Store, planned: Planned) -> None:
        logs = [EventLog("run", plan).started(measures_of(plan)[0]) for plan in (planned.plan, planned.other)]
        results = store.logs.ingest([log.arrived() for log in logs])
        assert {result.device for result in results} == {"pi-03", "nano-01"}
        assert states(store, "pi-03")[TrialState.RUNNING] == states(store, "nano-01")[TrialState.RUNNING] == 1


class TestHostileLogs:
    @pytest.mark.parametrize("damage", [b"x", b"\x00", b'"'])
    def test_one_altered_byte_is_noticed(self, store: Store, planned: Planned, damage: bytes) -> None:
        log = planned.log().runner_started()
        lines = log.lines[1]
        altered = replace(log.arrived(2), lines=lines[:40] + damage + lines[41:])
        store.logs.ingest([log.arrived(1, 1)])
        assert "record 2 cannot be stored" in refused(store, altered)

    def test_a_torn_tail_is_noticed(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started()
        arrived = log.arrived()
        assert "record 2" in refused(store, replace(arrived, lines=arrived.lines[:-10]))
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 1)
        store.logs.ingest([log.arrived(2)])
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 2)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"run": "another"}, "device pi-03 in run another"),
            ({"device": "nano-01"}, "device nano-01"),
            ({"log_id": "log-9"}, "it is the log of"),
            ({"plan_sha256": "0" * 64}, "it follows plan 000000000000"),
            ({"protocol": 99}, "speaks protocol 99"),
            ({"protocol": "1"}, "protocol is not"),
            ({"worker_sha256": None}, "worker_sha256"),
        ],
    )
    def test_another_log_is_refused(
        self, store: Store, planned: Planned, changes: dict[str, object], reason: str
    ) -> None:
        opened = json.loads(planned.log().lines[0].split(b" ", 2)[2])
        lines = encode_record({**opened, **changes})
        assert reason in refused(store, RecordsArrived("pi-03", "run", "log-1", 1, 1, lines))
        assert store.logs.offset("run", "pi-03") == Offset(None, 0)

    def test_a_log_that_opens_twice_is_refused(self, store: Store, planned: Planned) -> None:
        log = planned.log()
        opened = json.loads(log.lines[0].split(b" ", 2)[2])
        opened.pop("seq")
        log.append(opened.pop("kind"), **opened)
        assert "record 2 cannot be stored: a log begins with log-opened" in refused(store, log.arrived())

    def test_a_log_that_does_not_open_is_refused(self, store: Store, planned: Planned) -> None:
        line = encode_record({"seq": 1, "kind": "runner-started", "at_unix_ns": 0, "at_mono_ns": 0})
        assert "log begins with" in refused(store, RecordsArrived("pi-03", "run", "log-1", 1, 1, line))

    @pytest.mark.parametrize(("run", "device"), [("no-run", "pi-03"), ("run", "stranger")])
    def test_a_log_of_nobody_is_refused(self, store: Store, planned: Planned, run: str, device: str) -> None:
        log = EventLog(run, replace(planned.plan, device=device))
        with pytest.raises(CorruptLog, match=f"{device}: .*no device of this name"):
            store.logs.ingest([log.arrived()])

    @pytest.mark.parametrize("log_id", ["", "a\nb", "x" * 300])
    def test_a_log_without_a_name_is_refused(self, store: Store, planned: Planned, log_id: str) -> None:
        assert "id is not a name" in refused(store, planned.log(log_id).arrived())

    def test_unknown_kinds_and_fields_only_move_the_offset(self, store: Store, planned: Planned) -> None:
        log = planned.log().append("thermal-report", zones=[1, 2]).append("runner-started", mood="good", skip=0)
        store.logs.ingest([log.arrived()])
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 3)

    def test_an_event_that_nobody_writes_is_a_defect_and_never_lost(
        self, store: Store, planned: Planned, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A parser alone, without a place in the write path, must not move the offset past what it read."""
        parsers = {**events._PARSERS, "trace-recorded": lambda fields: TraceRecorded(fields.name("trial"))}
        monkeypatch.setattr(events, "_PARSERS", parsers)
        log = planned.log().append("trace-recorded", trial=planned.measures[0])
        with pytest.raises(AssertionError, match="TraceRecorded"):
            store.logs.ingest([log.arrived()])
        assert store.logs.offset("run", "pi-03") == Offset(None, 0)

    def test_text_is_cleaned_and_cut(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().failed(trial, "load-error", "bad\x00 \x1b[31mop\ud800\u202e" + "x" * 5000)
        (result,) = store.logs.ingest([log.arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.failure_message.startswith("bad [31mopxxx")
        assert len(attempt.failure_message) == 2000
        assert attempt.failure_stderr_tail == "Traceback"
        assert result.changes[0].failure == f"load-error: {attempt.failure_message}"

    def test_a_clock_from_nowhere_is_unknown(self, store: Store, planned: Planned) -> None:
        log = planned.log().finished(planned.measures[0])
        event = json.loads(log.lines[1].split(b" ", 2)[2]) | {"at_unix_ns": 10**30}
        log.lines[1] = encode_record(event)
        store.logs.ingest([log.arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.finished_at is None
