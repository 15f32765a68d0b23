"""A controller of few words: speaks the worker protocol to a real worker process over pipes."""

import hashlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
import zipfile

from device_worker.protocol.messages import MessageReader, encode_message
from device_worker.protocol.records import split_records
from device_worker.system.process_identity import ProcessIdentity

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
PACKAGE = os.path.join(REPOSITORY, "device_worker")
CHUNK_BYTES = 4 << 20
PATIENCE_S = 30.0


def loader_source():
    with open(os.path.join(PACKAGE, "loader.py"), encoding="utf-8") as file:
        return file.read()


def package_files():
    """Yield (path, name in the zip) of every source file of the worker."""
    for folder, folders, names in sorted(os.walk(PACKAGE)):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                yield path, os.path.relpath(path, REPOSITORY)


def pack_worker():
    """Return the bytes of the worker's zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path, name in package_files():
            archive.write(path, name)
    return packed.getvalue()


def pack_bundle(files):
    """Return a bundle: a zip of these files, by name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(name, content)
    return packed.getvalue()


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


def seed_state_dir(state_dir, installed_worker):
    """Give a device the worker that another one has, so that a test need not ship and compile it again."""
    os.makedirs(os.path.join(state_dir, "worker"), 0o700)
    os.chmod(state_dir, 0o700)
    os.symlink(installed_worker, os.path.join(state_dir, "worker", os.path.basename(installed_worker)))


class Refused(Exception):
    """The worker answered with an error."""

    def __init__(self, answer):
        super().__init__("{kind}: {message}".format(**answer))
        self.answer = answer
        self.kind = answer["kind"]


def loader_command(state_dir, worker, python=sys.executable):
    return [python, "-c", loader_source(), state_dir, sha256_of(worker), str(len(worker))]


def run_loader(state_dir, worker):
    """Run the loader to its end, with the worker on its standard input."""
    command = loader_command(state_dir, worker)
    return subprocess.run(command, input=worker, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)


class Client:
    """One connection: a loader that becomes a worker. `command` reaches a worker elsewhere."""

    def __init__(self, worker, state_dir, python=sys.executable, environment=None, cwd=None, prefix=(), command=None):
        self.worker_sha256 = sha256_of(worker)
        self.process = subprocess.Popen(
            command or [*prefix, *loader_command(state_dir, worker, python)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=dict(_inherited(), **(environment or {})),
            cwd=cwd,
        )
        self.read_some = bytes_until(self.process.stdout.fileno())
        self.loader = self._read_loader_line()
        if not self.loader["have"]:
            self.process.stdin.write(worker)
            assert self._read_loader_line()["have"], "the worker did not arrive"
        self.reader = MessageReader(self.read_some)
        self.hello = self.receive()

    def _read_loader_line(self):
        line = b""
        while not line.endswith(b"}\n"):
            byte = self.read_some(1)
            assert byte, f"the loader ended: {line!r}"
            line += byte
        return parse_loader_lines(line)[-1]

    def send(self, kind, payload=b"", **fields):
        if kind == "start":  # tests play many devices on one machine; a test of the machine's lock says otherwise
            fields.setdefault("exclusive", False)
        self.process.stdin.write(encode_message(dict(fields, type=kind), payload))

    def receive(self):
        """Return the next message; a payload is under "payload"."""
        message, payload = self.reader.read_message()
        if message is not None and payload:
            message["payload"] = payload
        return message

    def ask(self, kind, payload=b"", **fields):
        """Return the answer to a question, or raise Refused."""
        self.send(kind, payload, **fields)
        answer = self.receive()
        if answer["type"] == "error":
            raise Refused(answer)
        assert answer["type"] == kind
        return answer

    def upload(self, *blobs):
        """Ship blobs that the device lacks; return how many bytes travelled."""
        sizes = [{"sha256": sha256_of(blob), "size": len(blob)} for blob in blobs]
        missing = {found["sha256"]: found["offset"] for found in self.ask("blobs", blobs=sizes)["missing"]}
        shipped = 0
        for blob in blobs:
            sha256 = sha256_of(blob)
            offset = missing.pop(sha256, None)
            while offset is not None:
                chunk = blob[offset : offset + CHUNK_BYTES]
                answer = self.ask("blob-put", chunk, sha256=sha256, size=len(blob), offset=offset)
                shipped += len(chunk)
                offset = None if answer["complete"] else offset + len(chunk)
        return shipped

    def start(self, run, builder, skip=(), **fields):
        """Ship a plan and what it needs, and start it; return the answer."""
        plan = builder.plan_bytes()
        self.upload(*builder.blobs(), plan)
        return self.ask("start", run=run, plan_sha256=sha256_of(plan), skip=list(skip), **fields)

    def follow(self, run, log_id, after_seq=0, heartbeat_s=5.0):
        """Yield the messages of one follow, up to and with its end."""
        self.send("follow", run=run, log_id=log_id, after_seq=after_seq, heartbeat_s=heartbeat_s)
        while True:
            message = self.receive()
            if message is None or message["type"] == "error":
                raise AssertionError(f"the follow broke off: {message}")
            yield message
            if message["type"] == "follow-ended":
                return

    def events(self, run, log_id, after_seq=0):
        """Follow a run to its end and return its events."""
        events = []
        for message in self.follow(run, log_id, after_seq):
            if message["type"] == "records":
                events += events_of(message)
        return events

    def execute(self, run, builder, skip=()):
        """Start a plan, follow it to its end and return its events."""
        return self.events(run, self.start(run, builder, skip)["log_id"])

    def until(self, messages, kind, **fields):
        """Read a follow until an event of a kind with these fields; return the events so far."""
        seen = []
        for message in messages:
            if message["type"] != "records":
                continue
            seen += events_of(message)
            if any(event["kind"] == kind and fields.items() <= event.items() for event in seen):
                return seen
        raise AssertionError(f"the follow ended without {kind} {fields}: {seen}")

    def close(self):
        """End the worker's input and wait for its end."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
        return code


def bytes_until(fd):
    """Return a `read(size)` that fails rather than wait for ever."""

    def read(size):
        if not select.select([fd], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"nothing came within {PATIENCE_S} s")
        return os.read(fd, size)

    return read


def parse_loader_lines(data):
    prefix = b"benchfleet-loader "
    return [json.loads(line[len(prefix) :].decode()) for line in data.split(b"\n") if line.startswith(prefix)]


def events_of(message):
    """Return the events of a `records` message, checked."""
    events, used = split_records(message["payload"])
    assert used == len(message["payload"])
    assert (events[0]["seq"], events[-1]["seq"]) == (message["first_seq"], message["last_seq"])
    return events


def read_log(state_dir, run):
    """Return the events of a log on the device."""
    with open(os.path.join(state_dir, "runs", run, "log"), "rb") as file:
        return split_records(file.read())[0]


def runner_of(state_dir, run):
    return ProcessIdentity.read(os.path.join(state_dir, "runs", run, "pid"))


def _inherited():
    """Return this process's environment without what continuous integration tells other tests."""
    return {name: value for name, value in os.environ.items() if name != "BENCHFLEET_GRAFANA_SCHEMA"}


def wait_until(condition, seconds=10.0):
    """Wait for something that no descriptor tells of, such as the end of a process that is not our child."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        poll.poll(5)


def end_runners(state_dir):
    """Kill the runners that a test has left behind."""
    runs = os.path.join(state_dir, "runs")
    for run in os.listdir(runs) if os.path.isdir(runs) else ():
        runner = runner_of(state_dir, run)
        if runner is not None and runner.is_alive:
            os.kill(runner.pid, signal.SIGKILL)
            wait_until(lambda gone=runner: not gone.is_alive)


def trials_of(events, kind="trial-finished"):
    """Return the events of one kind."""
    return [event for event in events if event["kind"] == kind]
