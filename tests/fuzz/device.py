"""What devices send: event logs, and a worker's side of the conversation."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.messages import encode_message
from device_worker.protocol.vocabulary import LogState, Message
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Cancel,
    FollowEnded,
    Forget,
    RecordsArrived,
    Report,
    SessionEnded,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import CorruptLog, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.domain.processors import Processors
from orchestrator.power.command_switch import CommandSwitch
from orchestrator.session.device_session import DeviceSession, DeviceSessions
from orchestrator.session.link import LinkPolicy
from orchestrator.session.start_failures import explain_start
from orchestrator.session.worker_client import WorkerProgram
from orchestrator.store.ingest.log_reader import LogKey, read_records
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    absent,
    input_results,
    number,
    outputs,
    profile,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
)
from orchestrator.transport.admission import gate_of_this_process
from orchestrator.transport.base import Completed, Stream
from tests.databases import clear
from tests.fuzz.base import Defect, Target, check_said
from tests.fuzz.hazards import JSON_HAZARDS

DEVICE = sample_device()
RUN = "run"


def targets(folder: Path) -> tuple[Target, ...]:
    """Return the targets; files and the database lie below `folder`."""
    model, sweep = sample_model(), sample_sweep()
    plan = sample_plan(DEVICE, sweep, model)
    logs = [b"".join(log.lines) for log in _logs(plan)]
    bodies = [b"\n".join(line.split(b" ", 2)[2].rstrip(b"\n") for line in log.splitlines()) for log in logs]
    return (
        Target("event-log", _feed_log, [*logs, *bodies], JSON_HAZARDS),
        Target("ingest", _Ingest(folder / "fuzz.db", plan), bodies, JSON_HAZARDS),
        Target("session", _Conversation(folder), list(_conversations(logs[0])), _wire_hazards()),
        Target("account", _feed_account, _ACCOUNTS, [b"\n" * 100_000, b"python3: " * 20_000, b"\x1b[2J\xff"]),
        Target("processors", _feed_processors, [b"0-3,5", b"0", b"4095"], [b"0-99999999", b"1," * 9000, b"\xb2"]),
    )


def _logs(plan: DevicePlan) -> Iterable[EventLog]:
    preflight = next(trial.key for trial in plan.trials if trial.kind is TrialKind.PREFLIGHT)
    measures = [trial.key for trial in plan.trials if trial.kind is TrialKind.MEASURE]
    ok = EventLog(RUN, plan).runner_started().started(preflight)
    ok.finished(
        preflight,
        [number("accuracy_top1", 0.97)],
        outputs=outputs([[0.1, 0.9], [0.8, 0.2]]),
        input_results=input_results([True, False]),
    )
    for trial in measures[:2]:
        told: list[Sampled | dict[str, Any]] = [
            Sampled("latency_ns", range(1000, 1300)),
            number("rss_bytes_max", 12),
            absent("load_ns", "no"),
        ]
        ok.started(trial).finished(trial, told, profile=profile(("Conv", "c1", 5.0)))
    yield ok.run_finished()
    bad = EventLog(RUN, plan).runner_started().started(preflight).failed(preflight)
    yield bad.skipped(measures[0]).append("of-the-future", anything=[1, {"a": None}]).run_finished("cancelled")


def framed(data: bytes) -> bytes:
    """Return lines as records with the right length and checksum: what is wrong in them lies deeper."""
    lines = data.split(b"\n")
    return b"".join(b"%08x %d %s\n" % (zlib.crc32(line), len(line), line) for line in lines)


def _feed_log(data: bytes) -> None:
    """Read as it came, and framed anew; whatever is taken must be fit to be stored and shown."""
    key = LogKey(RUN, DEVICE.name, "log-1")
    for lines in (data, framed(data)):
        records = read_records(key, [lines], 0)
        if records.bad is not None:
            check_said(records.bad.reason)
        for event in records.events:
            _check_value(event)


def _check_value(value: object) -> None:
    """Raise Defect for a number that is not finite, a text that cannot be stored, or one without end."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Defect(f"{value} is taken")
    if isinstance(value, str):
        value.encode("utf-8")
        if "\0" in value or "\x1b" in value or len(value) > 8_000:
            raise Defect(f"the text {value[:80]!r} is taken")
    elif isinstance(value, Mapping):
        _check_all([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        _check_all(value)
    elif hasattr(value, "__slots__"):
        _check_all([getattr(value, name) for name in value.__slots__])


def _check_all(values: Iterable[object]) -> None:
    for value in values:
        _check_value(value)


class _Ingest:
    """Stores a framed log in a real database, which must stay whole and keep its promises."""

    def __init__(self, file: Path, plan: DevicePlan) -> None:
        self._file = file
        self._plan = plan
        self._store: Store | None = None

    def __call__(self, data: bytes) -> None:
        store = self._store = self._store or open_store(str(self._file))
        clear(store)
        self._prepare(store)
        lines = framed(data)
        arrived = RecordsArrived(DEVICE.name, RUN, "log-1", 1, lines.count(b"\n"), lines)
        try:
            store.logs.ingest([arrived])
        except CorruptLog as error:
            check_said(error.message)
        self._check()

    def _prepare(self, store: Store) -> None:
        model = sample_model()
        store.runs.create_run(sample_header(RUN, sample_sweep(), model), model, [DEVICE])
        snapshot = store.devices.save_snapshots([(DEVICE, Facts(FACTS))], STARTED_AT)[DEVICE.name]
        if isinstance(snapshot, StoreError):
            raise snapshot
        save_plan(store, RUN, self._plan, snapshot, WORKER_SHA256)

    def _check(self) -> None:
        with closing(sqlite3.connect(self._file)) as connection:
            twice = (
                "SELECT count(*) FROM (SELECT 1 FROM attempt WHERE counted = 1 GROUP BY trial_id HAVING count(*) > 1)"
            )
            if connection.execute(twice).fetchone() != (0,):
                raise Defect("a trial is counted twice")
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                raise Defect("a row has lost what it belongs to")


class _Script:
    """Plays a connector, a transport and a stream that says what it is told to, and takes whatever it gets."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def connect(self, device: Device) -> _Script:
        return self

    def stream(self, argv: Sequence[str]) -> Stream:
        return self

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        raise Defect(f"a session talks over its stream, and runs nothing beside it: {argv}")

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        data, self._data = bytes(self._data[:size]), self._data[size:]
        return data

    def write(self, data: bytes) -> None:
        return

    def end(self) -> Completed:
        return Completed(-1, b"", b"")

    def close(self) -> None:
        return


class _Blobs:
    """Hands out the one blob that there is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path(self, blob: Blob) -> Path:
        return self._path


class _Conversation:
    """Holds a whole session with a device that says anything; it must end with a SessionEnded."""

    def __init__(self, folder: Path) -> None:
        path = folder / "blob"
        path.write_bytes(b"0123456789")
        self._blob = Blob("b" * 64, 10, BlobKind.MODEL, "model.tflite")
        self._blobs = _Blobs(path)

    def __call__(self, data: bytes) -> None:
        program = WorkerProgram(b"archive", "a" * 64, "loader")
        sessions = DeviceSessions(
            _Script(data), program, self._blobs, CommandSwitch(), LinkPolicy(losses_max=1), gate=gate_of_this_process()
        )
        session = DeviceSession(DEVICE, sessions)
        session.post(Assignment(RUN, self._blob.sha256, (self._blob,)))
        session.post(Attachment(RUN, "log-1", 1))
        session.post(Cancel(RUN))
        session.post(Forget(RUN, "log-1", 3))
        reports: list[Report] = []
        session.run(reports.append)
        self._check(reports)

    @staticmethod
    def _check(reports: Sequence[Report]) -> None:
        ended = reports[-1]
        if not isinstance(ended, SessionEnded):
            raise Defect(f"the session ended with {ended!r:.200}")
        if ended.error is not None:
            check_said(str(ended.error))
            said = (ended.error.message, ended.error.hint or "")
            if any(not character.isprintable() for text in said for character in text):
                raise Defect(f"a device's words reach a terminal as they are: {said!r:.300}")
        for report in reports:
            if isinstance(report, RecordsArrived):
                _check_types(report.log_id, str, report.first_seq, int, report.last_seq, int)
            if isinstance(report, FollowEnded):
                _check_types(report.state, str, report.log_id or "", str, report.last_seq or 0, int)


_ACCOUNTS = [
    b"This account is currently not available.\n",
    b"WARNING: Your password has expired.\nPassword change required but no TTY available.\n",
    b"sh: 1: python3: not found\n",
    b"Unmatched '''.\n",
]


def _feed_account(data: bytes) -> None:
    """Tell why no worker started, by what an account printed on both outputs."""
    for status in (-1, 0, 1, 127):
        error = explain_start(Completed(status, b"", data), "python3", data)
        check_said(str(error))
        if not str(error).isprintable():
            raise Defect(f"a terminal would obey {str(error)!r:.200}")


def _feed_processors(data: bytes) -> None:
    """Judge a cell by processors that are nonsense."""
    text = data.decode("utf-8", "replace")
    lists = dict.fromkeys(("cpus_present", "cpus_online", "cpus_usable", "cpus_allowed", "cpu_count"), text)
    kinds = [{"cpus": text, "mhz_max": text}, {"cpus": "0-3", "mhz_max": len(data)}, text]
    found = Processors.of_facts({**lists, "cpu_kinds": kinds})
    check_said(found.against_pinning(frozenset([0, 7])) or "")
    check_said(found.kinds_words or "")
    found.of_several_kinds(None)


def _check_types(*pairs: object) -> None:
    for value, kind in zip(pairs[::2], pairs[1::2], strict=True):
        if type(value) is not kind:
            raise Defect(f"a report holds {value!r:.100}, not {kind}")


def _conversations(log: bytes) -> Iterable[bytes]:
    """Yield what a worker says to the commands above, from its loader's line to the last answer."""
    lines = log.splitlines(keepends=True)
    loader = b'profile says hi\n\nbenchfleet-loader {"python": "3.11.2", "have": true, "state_dir": "/home/pi/x"}\n'
    answers: list[tuple[dict[str, Any], bytes]] = [
        ({"type": Message.HELLO, "protocol": PROTOCOL_VERSION, "worker_sha256": "a" * 64, "pid": 7}, b""),
        ({"type": Message.FACTS, "facts": dict(FACTS)}, b""),
        ({"type": Message.BLOBS, "missing": [{"sha256": "b" * 64, "offset": 3}], "free_bytes": 10**9}, b""),
        ({"type": Message.BLOB_PUT, "sha256": "b" * 64, "complete": True}, b""),
        ({"type": Message.START, "state": LogState.RUNNING, "log_id": "log-1", "pid": 12}, b""),
        ({"type": Message.RECORDS, "log_id": "log-1", "first_seq": 1, "last_seq": 3}, b"".join(lines[:3])),
        ({"type": Message.ALIVE}, b""),
        ({"type": Message.FOLLOW_ENDED, "state": LogState.FINISHED, "log_id": "log-1", "last_seq": 3}, b""),
        ({"type": Message.FOLLOW_ENDED, "state": LogState.UNKNOWN, "log_id": None, "last_seq": None}, b""),
        ({"type": Message.CANCEL, "state": LogState.FINISHED}, b""),
        ({"type": Message.FORGET, "forgotten": True}, b""),
    ]  # fmt: skip
    said = [encode_message(message, payload) for message, payload in answers]
    yield loader + b"".join(said)
    yield loader.replace(b"true", b"false") + b'benchfleet-loader {"python": "3.7.3", "have": true}\n' + b"".join(said)
    refusal = {"type": Message.ERROR, "kind": "disk-full", "message": "no room", "hint": "make some"}
    yield loader + b"".join(said[:3]) + encode_message(refusal)
    yield b'benchfleet-loader {"python": "3.11.2", "error": "disk-full", "message": "no room"}\n'


def _wire_hazards() -> list[bytes]:
    loader = b'benchfleet-loader {"python": "3.11.2", "have": true}\n'
    hello = encode_message({"type": Message.HELLO, "protocol": PROTOCOL_VERSION})
    escape = {"type": Message.ERROR, "kind": "x", "message": "\x1b[2J\u202eevil\nhint: rm -rf", "hint": "\x9b31m\0"}
    said: list[Callable[[], bytes]] = [
        lambda: b"benchfleet-loader " + b"[" * 60_000 + b"\n",
        lambda: b'benchfleet-loader {"python": "\xc2\xb2.\xc2\xb2"}\n',
        lambda: b'benchfleet-loader {"python": "' + b"9" * 5000 + b'.1"}\n',
        lambda: b"x" * 200_000,
        lambda: b"\n" * 200_000,
        lambda: loader + hello + encode_message(escape),
        lambda: loader + hello + b'{"type":"facts","payload_bytes":99999999999999999999}\n',
        lambda: loader + hello + b'{"type":"facts","payload_bytes":67108864}\nabc',
        lambda: loader + hello + b'{"type":"facts","facts":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}\n",
        lambda: loader + b"{" * (2 << 20),
    ]
    facts = loader + hello + encode_message({"type": Message.FACTS, "facts": {}})
    for offset in ("-1", "1e999", "NaN", "9" * 30, '"7"', "null", "3.5", "true", "11"):
        said.append(
            lambda offset=offset: (
                facts  # type: ignore[misc]
                + b'{"type":"blobs","missing":[{"sha256":"%s","offset":%s}]}\n' % (b"b" * 64, offset.encode())
                + encode_message({"type": Message.BLOB_PUT, "complete": False}) * 3
            )
        )
    return [make() for make in said] + [facts + json.dumps({"type": "blobs", "missing": {}}).encode() + b"\n"]
