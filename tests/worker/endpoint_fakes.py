"""Fakes of servers, for answers that no real server gives on demand, and the clients of their protocols."""

import importlib
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from device_worker.protocol.fields import Fields
from device_worker.protocol.specification import TrialJob
from device_worker.trial.runtimes import ENGINES

ROOT = Path(__file__).resolve().parents[2]


class _FakeHttp(BaseHTTPRequestHandler):
    """A server of JSON. `answers` is path to status and document, `asked` the bodies that came."""

    protocol_version = "HTTP/1.1"
    answers = None
    asked = None

    def _answer(self):
        length = int(self.headers.get("Content-Length", 0))
        self.asked.append((self.command, self.path, self.rfile.read(length)))
        status, document = self.answers.get(self.path, (404, {"error": "no such path"}))
        body = document if isinstance(document, bytes) else json.dumps(document).encode("ascii")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = _answer  # noqa: N815 the names are the library's
    do_POST = _answer  # noqa: N815 the names are the library's
    do_PUT = _answer  # noqa: N815 the names are the library's

    def log_message(self, *words):
        """Say nothing."""


@contextmanager
def fake_http(answers, asked=None):
    """Serve answers by path: pairs of status and document."""
    handler = type("Handler", (_FakeHttp,), {"answers": answers, "asked": [] if asked is None else asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def fake_lines(answer):
    """Serve the same bytes to every request, and wait until the client has closed the connection."""

    class Handler(StreamRequestHandler):
        def handle(self):
            self.connection.recv(65536)
            with suppress(OSError):
                self.wfile.write(answer)
                self.connection.recv(65536)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def fake_grpc(grpc, answers, asked=None):
    """Serve messages by method: bytes, or the name of a status and words. The server is a real one of grpcio."""

    def handle(path):
        def answer(request, context):
            if asked is not None:
                asked.append((path, request))
            found = answers[path]
            if isinstance(found, tuple):
                context.abort(getattr(grpc.StatusCode, found[0]), found[1])
            return found

        return grpc.unary_unary_rpc_method_handler(answer)

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details):
            return handle(details.method) if details.method in answers else None

    server = grpc.server(ThreadPoolExecutor(4), handlers=[Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def stats_of(requests, executions, hits=0):
    """Return what Triton counts of requests of 3 ns in the queue and 5 ns of computing each, in JSON."""
    computed = requests - hits
    each = {"queue": 3, "compute_input": 1, "compute_infer": 3, "compute_output": 1, "cache_miss": 2}
    stats = {name: {"count": computed, "ns": ns * computed} for name, ns in each.items()}
    stats["cache_hit"] = {"count": hits, "ns": hits}
    return {"inference_count": computed, "execution_count": executions, "inference_stats": stats}


@contextmanager
def far_away(url, round_trip_s):
    """Relay a server's bytes as late as over a long line."""
    port = int(url.rpartition(":")[2])

    def relay(source, target, wait_s):
        with suppress(OSError):
            while True:
                data = source.recv(65536)
                time.sleep(wait_s)  # the line itself: nothing is waited for
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    def connect(near):
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            there = threading.Thread(target=relay, args=(near, far, 0.0))
            there.start()
            relay(far, near, round_trip_s)
            there.join()

    def serve():
        with suppress(OSError), ThreadPoolExecutor(4) as pool:
            while True:
                pool.submit(connect, door.accept()[0])

    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(8)
    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        serving.join()


def job_document(engine, folder, endpoint, command=None, **further):
    """Return the job of a served model, as a trial is told of it."""
    document = {
        "engine": engine,
        "settings": {},
        "python_path": [],
        "model_path": "m.bin",
        "dataset_path": None,
        "files_dir": str(folder),
        "command": command,
        "endpoint": dict({"model": "m", "ready_s_max": 10.0}, **endpoint),
    }
    document.update(further)
    return document


def job(engine, folder, endpoint, command=None, **further):
    """Return the job of a served model."""
    return TrialJob(Fields(job_document(engine, folder, endpoint, command, **further), "job"))


def told_by_trial(specification):
    """Run a trial in a process of its own, and return the lines that it told."""
    script = "from device_worker.trial.trial import run_trial; run_trial()"
    told = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(specification).encode("ascii"),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


@contextmanager
def loaded(engine, folder, url, endpoint=None, **further):
    """Load the model behind a server, and close the client."""
    module, _, name = ENGINES[engine].place.partition(":")
    make = getattr(importlib.import_module(module), name)
    runtime = make(job(engine, folder, dict(endpoint or {}, url=url), **further))
    try:
        yield runtime.load()
    finally:
        runtime.close()
