"""A conversation with a real worker: the contract of all workers, and what only a process can show."""

import contextlib
import os
import signal

from conversation_contract import ConversationContract
from worker_client import runner_of, wait_until


class TestConversation(ConversationContract):
    """The contract, over pipes."""


def test_a_runner_outlives_its_connection(device, connect, plans, tmp_path, state_dir):
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    plans.add_program(
        "job", f'#!/bin/sh\nread line < {gate}\necho \'{{"metric": "m", "value": 1}}\'\necho \'{{"done": true}}\'\n'
    )
    answer = device.start("run-1", plans)
    runner = runner_of(state_dir, "run-1")
    assert os.getsid(answer["pid"]) != os.getsid(device.process.pid)
    assert device.close() == 0
    assert runner.is_alive
    gate.write_text("go\n")
    assert connect().events("run-1", answer["log_id"])[-1]["outcome"] == "complete"
    wait_until(lambda: not runner.is_alive)


def test_the_runner_holds_no_file_of_the_connection(device, plans, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    plans.add_program("job", f"#!/bin/sh\nread line < {gate}\n")
    pid = device.start("run-1", plans)["pid"]
    held = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            held.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    mine = {os.readlink(f"/proc/{device.process.pid}/fd/{fd}") for fd in (0, 1, 2)}
    assert not held & mine
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    device.ask("cancel", run="run-1")


def test_the_end_of_the_output_ends_the_worker_quietly(device, capfd):
    device.process.stdout.close()
    device.send("facts")
    assert device.process.wait(10) in (0, -signal.SIGPIPE)
    assert "Traceback" not in capfd.readouterr().err
