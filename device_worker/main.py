"""Dispatch the worker's commands: `serve` a conversation, execute a `trial`, or print the `version`."""

from __future__ import annotations

import sys

from device_worker.bytecode import keep_whole_bytecode

USAGE = "usage: device_worker serve STATE_DIR WORKER_SHA256 | trial | version"


def main(arguments: list[str]) -> int:
    """Run a command and return the exit code of the process."""
    keep_whole_bytecode()
    sys.dont_write_bytecode = False  # later starts then compile nothing
    command = arguments[0] if arguments else ""
    if command == "serve" and len(arguments) == 3:
        from device_worker.serving.conversation import serve

        return serve(arguments[1], arguments[2])
    if command == "trial" and len(arguments) == 1:
        from device_worker.trial.trial import run_trial

        return run_trial()
    if command == "version" and len(arguments) == 1:
        from device_worker.protocol import PROTOCOL_VERSION

        print(f"benchfleet device worker, protocol {PROTOCOL_VERSION}")
        return 0
    print(USAGE, file=sys.stderr)
    return 2
