"""Run commands as forks of a process that has imported the program: the imports take longer than most commands.

A fork is a process of its own, with a folder, an environment, streams and an end of its own. The process that is forked
imports, and does nothing else, so that no command finds what another one has left.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_READ_AT_THE_START = ("PYTHON", "LANG", "LC_", "LD_", "TZ")
"""The beginnings of variables that Python or the C library reads once in a process."""
_FILES_MAX = 1 << 16
_MESSAGE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Command:
    """The words after `benchfleet`, and what a process is given."""

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


class CommandServer:
    """Carries out commands, of several threads too, until the calling process ends."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # An import of numpy begins a thread for each processor, and no thread survives a fork.
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(its.fileno())],
                cwd=REPOSITORY,
                env=environment,
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self.pid = self._process.pid
        self._channel = ours
        self._environment = _read_at_the_start(environment)

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Say whether a fork can have an environment: a part is read when a process starts."""
        return _read_at_the_start(environment) == self._environment

    def run(self, command: Command, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Raise TimeoutExpired, as `subprocess.run` does."""
        pipes = [os.pipe() for _ in range(3)]
        asked = json.dumps([list(command.words), str(command.folder), dict(command.environment)])
        rights = array.array("i", [writer for _, writer in pipes])
        try:
            self._channel.sendmsg([asked.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            for _, writer in pipes:
                os.close(writer)
            out, err, told = _read_all([reader for reader, _ in pipes], command.words, timeout_s)
        finally:
            for reader, _ in pipes:
                os.close(reader)
        assert told, "the command server has ended"
        return subprocess.CompletedProcess(command.words, int(told.split()[1]), out.decode(), err.decode())


@cache
def command_server() -> CommandServer:
    """Return the one server of this process."""
    return CommandServer()


def _read_at_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    # Ray sets Python's debugger in a process of tests that joins a cluster; no command has a breakpoint.
    names = [name for name in environment if name.startswith(_READ_AT_THE_START) and name != "PYTHONBREAKPOINT"]
    return {name: environment[name] for name in names}


def _read_all(readers: Sequence[int], words: Sequence[str], timeout_s: float) -> list[bytes]:
    """Return all that comes through pipes, of which the last tells the process.

    The process is killed when the time is over, or the tests are interrupted.
    """
    found = dict.fromkeys(readers, b"")
    try:
        _fill(found, words, timeout_s)
    except BaseException:
        told = found[readers[-1]] or os.read(readers[-1], 1 << 16)
        with suppress(ProcessLookupError):
            os.kill(int(told.split()[0]), signal.SIGKILL)
        raise
    return list(found.values())


def _fill(found: dict[int, bytes], words: Sequence[str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for reader in found:
            selector.register(reader, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(list(words), timeout_s, *list(found.values())[:2])
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                found[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)


def _serve(channel: socket.socket) -> tuple[Any, list[int]] | None:
    """Fork for each command. Return the command and its streams in the fork, and None in the server at the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not channel:
                    selector.unregister(key.fileobj)
                    _tell_end(key.fd, *key.data)
                    continue
                asked, streams, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES_MAX, 3)
                if not asked:
                    return None
                if (pid := os.fork()) == 0:
                    return json.loads(asked), streams
                out, err, end = streams
                os.close(out)
                os.close(err)
                _write(end, f"{pid} ")
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, end))


def _tell_end(pidfd: int, pid: int, end: int) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    _write(end, str(os.waitstatus_to_exitcode(status)))
    os.close(end)


def _write(end: int, text: str) -> None:
    with suppress(BrokenPipeError):  # nobody waits any longer
        os.write(end, text.encode())


def _become(folder: str, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    """Make a fork what a command that was started has: streams, folder, environment, handling of Ctrl-C."""
    for number, stream in enumerate(streams[:2], 1):
        os.dup2(stream, number)
    # Python has noted what can be done with the streams that were there.
    sys.stdout = os.fdopen(1, "w", encoding=sys.stdout.encoding)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    os.closerange(3, _FILES_MAX)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _import_program() -> None:
    """Import what commands import, but for the extras: each takes as long as all the rest."""
    import orchestrator

    for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        if not module.name.startswith(_EXTRAS) and not module.name.endswith("__main__"):
            with suppress(ImportError):  # told by the command that needs the module
                importlib.import_module(module.name)


_EXTRAS = tuple(f"orchestrator.{name}" for name in ("execution.ray", "models.conversion", "reporting.plots", "web"))


def main() -> None:
    """Serve, and in each fork be the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, and reaches the commands
    _import_program()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is None:
        return
    (words, folder, environment), streams = asked
    _become(folder, environment, streams)
    import orchestrator.__main__

    sys.argv = [str(orchestrator.__main__.__file__), *words]
    orchestrator.__main__.main()


if __name__ == "__main__":
    main()
