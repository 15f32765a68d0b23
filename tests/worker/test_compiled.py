"""Bytecode that a controller sends: kept where Python looks for it, and refused unless it fits."""

import glob
import importlib.util
import marshal
import os
import subprocess
import sys
import zlib

import pytest

import worker_client
from worker_client import Refused, package_files

MARK = importlib.util.MAGIC_NUMBER + b"\x01\0\0\0"
FACTS = "device_worker/serving/facts.py"


def bytecode_of(text, name):
    return MARK + importlib.util.source_hash(text.encode()) + marshal.dumps(compile(text, name, "exec"))


def whole_worker():
    """Return name and bytecode of each module that is imported."""
    found = []
    for path, name in package_files():
        if os.path.basename(name) not in ("__main__.py", "loader.py"):
            with open(path, encoding="utf-8") as file:
                found.append((name, bytecode_of(file.read(), name)))
    return found


def offer(client, modules, payload=None):
    data = zlib.compress(b"".join(content for _name, content in modules)) if payload is None else payload
    sizes = [{"name": name, "size": len(content)} for name, content in modules]
    return client.ask("bytecode", data, modules=sizes)["modules"]


def kept_in(state_dir):
    paths = glob.glob(os.path.join(state_dir, "worker", "*", "device_worker", "**", "*.pyc"), recursive=True)
    return {os.path.basename(path).partition(".")[0]: path for path in paths}


def test_what_was_sent_is_what_runs(connect, fresh_dir, plans):
    client = connect(state_dir=fresh_dir)
    assert client.hello["bytecode"] == importlib.util.MAGIC_NUMBER.hex()
    before = kept_in(fresh_dir)
    assert "conversation" in before
    assert "facts" not in before
    modules = whole_worker()
    assert offer(client, modules) == len(modules)
    sent = kept_in(fresh_dir)
    for name in ("facts", "runner_process", "trial"):
        with open(sent[name], "rb") as file:
            assert file.read(8) == MARK
    with open(sent["conversation"], "rb") as file:
        assert file.read(8) != MARK, "a module that was compiled here keeps what is there"
    stamps = {path: os.stat(path).st_mtime_ns for path in sent.values()}
    plans.add_program("a")
    assert client.ask("facts")["facts"]["hostname"]
    assert client.execute("run", plans)[-1]["outcome"] == "complete"
    assert {path: os.stat(path).st_mtime_ns for path in kept_in(fresh_dir).values()} == stamps, "nothing was compiled"


def test_a_traceback_names_the_file_on_the_device(connect, fresh_dir):
    offer(connect(state_dir=fresh_dir), whole_worker())
    (home,) = glob.glob(os.path.join(fresh_dir, "worker", "*"))
    code = "from device_worker.serving import facts; print(facts.collect_facts.__code__.co_filename)"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == os.path.join(home, FACTS)


GOOD = bytecode_of("VALUE = 1", FACTS)
OTHER_PYTHON = b"\0\0\r\n" + GOOD[4:]
DATED = GOOD[:4] + b"\0\0\0\0" + GOOD[8:]


@pytest.mark.parametrize(
    ("modules", "payload"),
    [
        ([(FACTS, OTHER_PYTHON)], None),
        ([(FACTS, DATED)], None),
        ([(FACTS, b"")], None),
        ([("device_worker/nothing.py", GOOD)], None),
        ([("../../evil.py", GOOD)], None),
        ([("/etc/evil.py", GOOD)], None),
        ([(FACTS, GOOD)], GOOD),
        ([(FACTS, GOOD)], zlib.compress(GOOD)[:-1]),
        ([(FACTS, GOOD)], zlib.compress(GOOD + b"more")),
        ([(FACTS, GOOD)], zlib.compress(bytes(16 << 20))),
        ([(FACTS, GOOD), ("device_worker/nothing.py", GOOD)], None),
    ],
    ids=["python", "dated", "empty", "module", "above", "absolute", "plain", "cut", "longer", "bomb", "one-of-two"],
)
def test_what_does_not_fit_is_refused_and_nothing_of_it_kept(connect, fresh_dir, modules, payload):
    client = connect(state_dir=fresh_dir)
    with pytest.raises(Refused, match="bytecode: ") as refused:
        offer(client, modules, payload)
    assert refused.value.kind == "bad-request"
    for path in kept_in(fresh_dir).values():  # what the device has compiled by then carries a date
        with open(path, "rb") as file:
            assert file.read(8) != MARK, path
    assert client.ask("facts")["facts"]["hostname"], "the conversation goes on, and the device compiles"


def test_a_worker_of_another_controller_is_left_alone(connect, fresh_dir, worker_zip):
    """A second controller sends the same bytes: what is there stays."""
    connect(state_dir=fresh_dir)
    second = connect(state_dir=fresh_dir)
    modules = whole_worker()
    offer(second, modules)
    stamps = {path: os.stat(path).st_mtime_ns for path in kept_in(fresh_dir).values()}
    offer(second, modules)
    assert {path: os.stat(path).st_mtime_ns for path in kept_in(fresh_dir).values()} == stamps
    assert second.worker_sha256 == worker_client.sha256_of(worker_zip)
