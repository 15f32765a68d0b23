"""What reaches the worker: plans, messages, its own log after a power cut, what trials print, bundles."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from device_worker.protocol.cpu_list import parse_cpu_list
from device_worker.protocol.declarations import DeclaredTemplate
from device_worker.protocol.errors import BadBundle, WorkerError
from device_worker.protocol.fields import Fields
from device_worker.protocol.limits import INTEGER_MAX
from device_worker.protocol.messages import BadMessage, MessageReader, encode_message
from device_worker.protocol.plan import Plan
from device_worker.protocol.records import CorruptRecord, decode_record, split_records
from device_worker.protocol.samples import CorruptSamples, decode_block, encode_block
from device_worker.protocol.vocabulary import Message
from device_worker.runner.report_limits import check_profile
from device_worker.runner.trial_output import TrialOutput
from device_worker.sensing.conditions.temperature import read_temperature_c
from device_worker.sensing.power import hwmon, l4t
from device_worker.sensing.power.base import Unreadable
from device_worker.sensing.processor_kinds import read_kinds
from device_worker.sensing.readings import read_cpu_mhz
from device_worker.serving.conversation import Conversation
from device_worker.state.bundles import BundleStore
from device_worker.state.event_log import EventLog
from device_worker.state.state_dir import StateDir
from device_worker.system.executables import explain_refusal
from device_worker.system.processors import read_processors
from device_worker.trial import wire
from device_worker.trial.connection import RequestFailed
from device_worker.trial.http_connection import HttpConnection
from device_worker.trial.model_files import explain_file
from device_worker.trial.onnx_file import find_unranked
from device_worker.trial.profile import ProfileUnavailable, read_chrome_trace
from device_worker.trial.runtimes.http_template import HttpTemplateModel
from device_worker.trial.runtimes.kserve_v2 import KserveModel
from device_worker.trial.runtimes.kserve_v2_grpc import KserveGrpcModel
from device_worker.trial.runtimes.onnxruntime import read_kernels
from device_worker.trial.runtimes.tf_serving import TensorflowServingModel
from device_worker.trial.runtimes.tf_serving_grpc import TensorflowServingGrpcModel
from orchestrator.blobs.archive import Member, archive_bytes
from orchestrator.store.values.codec import load_block
from orchestrator.testing import event_logs as made
from tests.fuzz.base import Defect, Target, check_said
from tests.fuzz.hazards import JSON_HAZARDS, zip_hazards

_BUNDLE_BYTES_MAX = 96 << 20
"""More than any hazard unpacks to, so that a bomb is stopped by its own lies, not by our disk."""


def targets(folder: Path) -> tuple[Target, ...]:
    """Return the targets; whatever they write lies below `folder`."""
    plan = made.sample_plan(made.sample_device(), made.sample_sweep(), made.sample_model())
    trial = plan.trials[0].key
    log = made.EventLog("run", plan).runner_started().started(trial).failed(trial).run_finished()
    lines = b"".join(log.lines)
    block = json.dumps(encode_block(range(1000, 1200))).encode()
    return (
        Target("plan", _feed_plan, [plan.document], JSON_HAZARDS),
        Target("messages", _feed_messages, [_questions(plan.sha256)], JSON_HAZARDS),
        Target("conversation", _Asked(folder / "state"), [_questions(plan.sha256)], JSON_HAZARDS),
        Target("records", _Log(folder / "log"), [lines, lines[:-7]], _framed_hazards()),
        Target("samples", _feed_samples, [block, json.dumps(encode_block([1 << 40, 7])).encode()], _sample_hazards()),
        Target("trial-output", _feed_output, [_printed(), _printed().replace(b"\n", b"\r\n")], _printed_hazards()),
        Target("operator-trace", _Trace(folder / "trace.json"), [_trace()], JSON_HAZARDS),
        Target("bundle", _Unpack(folder), [_bundle(), _bundle(level=0)], zip_hazards()),
        Target("executable", _Program(folder / "program"), _programs(), _program_hazards()),
        Target("onnx-ranks", _Ranks(folder / "ranks.onnx"), [_ranks()], [b"\x3a" * 100_000, _ranks()[:-1], b""]),
        Target("wire", _feed_wire, [_infer_answer(), _predict_answer()], [b"\x0a" * 9000, b"\x08" + b"\xff" * 20]),
        Target("served-answer", _feed_answer, [_infer_answer(), _predict_answer(), *_json_answers()], JSON_HAZARDS),
        Target("sensors", _Sensors(folder / "board"), [b"5000", b"-8", b"0-3,5", b"255000"], _sensor_hazards()),
    )


class _Ranks:
    """Looks for inputs without a shape, and for weights elsewhere, in an .onnx file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, data: bytes) -> None:
        self._path.write_bytes(data)
        for name in find_unranked(str(self._path)):
            if type(name) is not str:
                raise Defect(f"a name is {name!r:.100}")
        check_said(explain_file(str(self._path), may_be_packed=False) or "")


def _ranks() -> bytes:
    """Return a model with the inputs `any`, without a shape, and `one`, a single number, in Protocol Buffers."""
    some = [b"\x0a\x03any\x12\x04\x0a\x02\x08\x01", b"\x0a\x03one\x12\x06\x0a\x04\x08\x01\x12\x00"]
    graph = b"".join(b"\x5a" + bytes([len(one)]) + one for one in some)
    return b"\x08\x08\x3a" + bytes([len(graph)]) + graph


class _Program:
    """Asks why the kernel refuses a file, for each reason that the kernel gives."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, data: bytes) -> None:
        self._path.write_bytes(data)
        for number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
            check_said(explain_refusal(str(self._path), OSError(number, os.strerror(number))) or "")


def _programs() -> list[bytes]:
    head = Path(os.path.realpath(sys.executable)).read_bytes()[:4096]
    return [head, b"#!/bin/sh\r\n", b"#! /usr/bin/env python3\n", b"\xef\xbb\xbf#!/bin/sh\n"]


def _program_hazards() -> list[bytes]:
    wide = b"\x7fELF\x02\x01" + b"\xff" * 58
    return [wide, b"\x7fELF\x01\x02" + b"\xff" * 46, b"\x7fELF", b"#!", b"#!" + b"x" * 100_000, b"#!/\x1b[2J\r\n"]


class _Sensors:
    """Lets every file of a board hold the same nonsense: sensors, rails, labels, lists of processors."""

    def __init__(self, root: Path) -> None:
        chip, rails = "sys/class/hwmon/hwmon1", "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
        self._root = root
        self._names = {f"{chip}/name": b"ina238", f"{rails}/rail_name_0": b"VDD_IN"}
        self._files = [f"{chip}/{name}" for name in ("label", "in1_input", "curr1_input", "power1_input", "in1_enable")]
        self._files += [f"{rails}/in_power0_input", "sys/class/thermal/thermal_zone0/temp"]
        self._files += [f"sys/devices/system/cpu/{name}" for name in ("present", "online")]
        self._files += ["sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"]
        self._files += [f"sys/devices/{name}/cpus" for name in ("cpu_core", "cpu_atom")]
        self._files += [
            f"sys/devices/system/cpu/{name}" for name in ("cpu0/cpu_capacity", "cpufreq/policy0/related_cpus")
        ]
        self._names["sys/class/thermal/thermal_zone0/type"] = b"cpu-thermal"

    def __call__(self, data: bytes) -> None:
        for name in (*self._files, *self._names):
            file = self._root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self._names.get(name, data))
        os.environ["BENCHFLEET_SYSFS_ROOT"] = str(self._root)
        try:
            for opener in (hwmon.open_source, l4t.open_source):
                with contextlib.suppress(Unreadable):
                    source = opener()
                    if source is not None and not 0 <= (source.read() or 0) <= 20_000 * 10**6:
                        raise Defect("a power that no device takes")
            said: list[str] = []
            read_temperature_c(said)
            read_cpu_mhz(said)
            check_said(" ".join(said))
            for cpus in (*read_processors().values(), *(one["cpus"] for one in read_kinds() or ())):
                parse_cpu_list(cpus)
        finally:
            del os.environ["BENCHFLEET_SYSFS_ROOT"]


def _sensor_hazards() -> list[bytes]:
    return [b"9" * 5000, b"-" + b"9" * 300, b"0-4095", b"0-99999999", b"1," * 9000, b"nan", b"\xb2", b"", b"\0" * 4096]


def _feed_plan(data: bytes) -> None:
    try:
        Plan.parse(data)
    except WorkerError as error:
        check_said(str(error))


def _questions(plan_sha256: str) -> bytes:
    """Return everything that a controller asks but to start and to follow, which take processes."""
    blob = {"sha256": "b" * 64, "size": 6}
    asked = [
        encode_message({"type": Message.BLOBS, "blobs": [blob]}),
        encode_message({"type": Message.BLOB_PUT, **blob, "offset": 0}, b"abc"),
        encode_message({"type": Message.BLOB_PUT, **blob, "offset": 3}, b"def"),
        encode_message({"type": Message.STATUS, "run": "run"}),
        encode_message({"type": Message.CANCEL, "run": "run"}),
        encode_message({"type": Message.FORGET, "run": "run", "log_id": "log-1", "last_seq": 4}),
        encode_message({"type": Message.START, "run": "run", "plan_sha256": plan_sha256, "skip": []}),
    ]
    return b"".join(asked)


def _feed_messages(data: bytes) -> None:
    """Read messages until they end, whatever pieces they come in."""
    pieces = [data[place : place + 700] for place in range(0, len(data), 700)]
    reader = MessageReader(lambda _size: pieces.pop(0) if pieces else b"")
    try:
        while reader.read_message()[0] is not None:
            pass
    except BadMessage as error:
        check_said(str(error))


class _Asked:
    """Asks a worker, whose every answer must be a message, and whose files stay below its state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        state.mkdir(mode=0o700, parents=True)  # as the loader does

    def __call__(self, data: bytes) -> None:
        with tempfile.TemporaryFile() as questions, tempfile.TemporaryFile() as said:
            questions.write(data)
            questions.seek(0)
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
                state = StateDir(str(self._state))
                Conversation(state, "a" * 64, questions.fileno(), said.fileno()).hold()
            said.seek(0)
            reader = MessageReader(said.read)
            while (message := reader.read_message()[0]) is not None:
                if message.get("kind") == "worker-failed":
                    raise Defect(f"the worker has a defect: {message['message']:.500}")
        found = {path.name for path in self._state.parent.iterdir()}
        if not found <= {self._state.name, "current"}:
            raise Defect(f"written beside the state folder: {found}")


class _Log:
    """Opens what a power cut left of a log, goes on with it, and reads it again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, data: bytes) -> None:
        whole, used = split_records(data)
        with contextlib.suppress(CorruptRecord):
            decode_record(data)
        self._path.write_bytes(data)
        log = EventLog(str(self._path))
        log.append("fuzzed")
        log.close()
        events, read = split_records(self._path.read_bytes())
        if events[-1]["kind"] != "fuzzed" or read != self._path.stat().st_size:
            raise Defect("what was appended cannot be read")
        for left in self._path.parent.glob("log.damaged-*"):
            left.unlink()
        if whole and whole[0]["seq"] == 1 and used == len(data) and len(events) != len(whole) + 1:
            raise Defect("a whole log was not gone on with")


def _framed_hazards() -> list[bytes]:
    large = b'{"seq":1,"kind":"x","a":[' + b"{}," * 5_000_000 + b"{}]}"
    return [b"%08x %d %s\n" % (zlib.crc32(body), len(body), body) for body in (*JSON_HAZARDS, large)] + [
        b"00000000 99999999999999999999 {}\n",
        b"00000000 -1 {}\n",
        b"\0" * 100_000,
        b"\n" * 100_000,
    ]


def _feed_samples(data: bytes) -> None:
    """Unpack with and without numpy: both say the same."""
    try:
        block = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(block, dict) and isinstance(block.get("data"), str):
        with contextlib.suppress(ValueError):
            block["crc32"] = zlib.crc32(_decoded(block["data"]))
    try:
        samples = decode_block(block)
    except CorruptSamples as error:
        check_said(str(error))
        return
    try:
        same = load_block(block["codec"], _decoded(block["data"]), block["crc32"], block["count"])
    except CorruptSamples:
        if max(samples) <= INTEGER_MAX:
            raise
        return
    if list(same) != list(samples):
        raise Defect("numpy and the worker unpack a block to different samples")


def _decoded(text: str) -> bytes:
    import base64

    return base64.b64decode(text, validate=True)


def _sample_hazards() -> list[bytes]:
    import base64

    bomb = base64.b64encode(zlib.compress(b"\0" * (128 << 20), 9)).decode()
    counts = (10, 4_000_000, 4_000_001, 1 << 40, -1, 0)
    blocks = [{"codec": "u32-shuffle-zlib", "count": count, "crc32": 0, "data": bomb} for count in counts]
    return [*JSON_HAZARDS, *(json.dumps(block).encode() for block in blocks)]


def _printed() -> bytes:
    said = [
        {"runtime": {"name": "x", "version": "1", "kernels": ["a", None]}},
        {"metric": "latency_ns", "samples": [1, 2, 3], "batch": 2},
        {"metric": "latency_ns", "packed": encode_block([4, 5, 6]), "batch": 2},
        {"metric": "rss_bytes_max", "value": 12.5},
        {"window": {"begin_mono_ns": 1, "end_mono_ns": 2}},
        {"outputs": made.outputs([[0.1, 0.9]])},
        {"input_results": made.input_results([True, False, True])},
        {"metric": "allocate_ns", "value": None, "reason": "in one step"},
        {"profile": made.profile(("Conv", "c1", 5.0), ("Gemm", "d1", 2.0))},
        {"failure": {"kind": "load-error", "message": "no such op"}},
        {"done": True},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in said)


def _printed_hazards() -> list[bytes]:
    return [
        *JSON_HAZARDS,
        b'{"runtime": {"a": [' + b"{}," * 5_000_000 + b"{}]}}\n",
        b"\n" * 5_000_000,
        b"{}\n" * 300_000,
    ]


def _feed_output(data: bytes) -> None:
    output = TrialOutput(data)
    for metric in output.metrics():
        json.dumps(metric, allow_nan=False)
    for part in (output.runtime, output.window, output.outputs, output.input_results, output.profile):
        json.dumps(part, allow_nan=False)
    if output.garbage is not None:
        check_said(output.garbage)


def _trace() -> bytes:
    kernel = {"cat": "Node", "name": "c1_kernel_time", "ts": 5, "dur": 3, "tid": 1}
    kernel["args"] = {"op_name": "Conv", "provider": "CPUExecutionProvider"}
    run = {"cat": "Session", "name": "model_run", "ts": 1, "dur": 9, "tid": 1}
    return json.dumps([run, kernel, dict(run, ts=11), dict(kernel, ts=15)]).encode()


class _Trace:
    """Reads a runtime's trace into a profile that the protocol takes, or says why there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, data: bytes) -> None:
        self._path.write_bytes(data)
        try:
            profile = read_kernels(read_chrome_trace(str(self._path)), 0)
        except ProfileUnavailable as error:
            check_said(str(error))
            return
        check_profile(json.loads(json.dumps(profile.to_json(), allow_nan=False)))


def _infer_answer() -> bytes:
    output = wire.text(1, "y") + wire.text(2, "FP32") + wire.numbers(3, [1, 2])
    return wire.data(5, output) + wire.data(6, bytes(8))


def _predict_answer() -> bytes:
    sizes = wire.data(2, wire.number(1, 2))
    tensor = wire.number(1, 1) + wire.data(2, sizes) + wire.data(5, bytes(8))
    return wire.data(1, wire.text(1, "y") + wire.data(2, tensor))


def _json_answers() -> list[bytes]:
    output = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]}
    return [json.dumps(one).encode() for one in ({"outputs": [output]}, {"outputs": [[0.5, 1.0]]}, {"y": [[1], [2]]})]


def _feed_wire(data: bytes) -> None:
    """Read a message, and whatever may be one inside, three floors down."""
    try:
        messages = [wire.Message(data)]
        for _ in range(3):
            messages = [inner for one in messages for field in range(1, 8) for inner in one.messages(field)][:64]
            for one in messages:
                one.numbers(1)
                one.text(1)
    except RequestFailed as error:
        check_said(str(error))


def _feed_answer(data: bytes) -> None:
    """Read the outputs of an answer by each protocol. Arrays, or a reason, and nothing else."""
    nowhere = HttpConnection("http://127.0.0.1:1")  # which connects at the first request, and none is sent
    fields = {"method": "POST", "path": "/", "ready_path": "/", "body": "${input}", "outputs": {"y": "/y", "z": ""}}
    template = DeclaredTemplate(Fields(fields, "template"))
    models = (
        KserveModel(nowhere, "/", [], {}),
        KserveGrpcModel(nowhere, [], {}, b""),
        TensorflowServingModel(nowhere, "/", [], {}, {"y": "float32"}),
        TensorflowServingGrpcModel(nowhere, [], {}, b""),
        HttpTemplateModel(nowhere, template, [], {}),
    )
    for model in models:
        try:
            outputs = [value for _, value in model.read(data)]
        except RequestFailed as error:
            check_said(str(error))
            continue
        model.decode_outputs(outputs)


def _bundle(level: int = 5) -> bytes:
    files = {"module/__init__.py": b"x = 1\n" * 50, "module/lib.so": bytes(range(256)) * 8, "top.py": b""}
    return archive_bytes([Member(name, content, name.endswith(".so")) for name, content in files.items()], level)


class _Unpack:
    """Unpacks an archive: whole, inside its folder, files and folders alone; or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, data: bytes) -> None:
        before = set(self._folder.iterdir())
        with tempfile.TemporaryDirectory(prefix="unpack-", dir=self._folder) as inside:
            archive = Path(inside) / "archive"
            archive.write_bytes(data)
            bundles = Path(inside) / "bundles"
            bundles.mkdir()
            try:
                home = Path(BundleStore(str(bundles)).unpack(str(archive), "c" * 64, lambda: False))
            except (BadBundle, OSError) as error:
                check_said(str(error))
                if list(bundles.iterdir()):
                    raise Defect("a refused archive left something behind") from error
            else:
                self._check(list(home.rglob("*")))
            if {path.name for path in Path(inside).iterdir()} != {"archive", "bundles"}:
                raise Defect("an archive wrote beside its folder")
        if set(self._folder.iterdir()) != before:
            raise Defect("an archive wrote outside")

    @staticmethod
    def _check(unpacked: Sequence[Path]) -> None:
        if any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in unpacked):
            raise Defect("an archive made a link or a device")
        if sum(path.stat().st_size for path in unpacked if path.is_file()) > _BUNDLE_BYTES_MAX:
            raise Defect("an archive unpacked to more than it said")
