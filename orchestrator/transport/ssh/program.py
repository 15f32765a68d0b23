"""Ask the ssh program for the options of a host: `ssh -G` reads the configuration, and prints what comes of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.remembered import Remembered

AT_ONCE_MAX = 16
"""How many programs run at a time: one costs a processor some milliseconds, and a `Match exec` may wait for long."""

FRESH_S = 60.0
"""For how long an answer is given again: a jump host is asked for once for all devices behind the host."""

LATE_S = 60.0
"""How long a configuration may take to be read: a command of `Match exec` may wait for ever."""

REMEMBERED_MAX = 10_000
_LOOP = "jumphost loop"
_READ = re.compile(r"^debug1: Reading configuration data (.*?)\r?$", re.MULTILINE)
_OF_VERBOSE = re.compile(r"debug\d: |OpenSSH_")
_NOT_IN_NAMES = re.compile(r"""['"`$\\;&<>|(){}\s\0-\x1f\x7f]""")
_NOT_IN_USERS = re.compile(r"""['"`;&<>|(){}\0-\x1f\x7f]|\s-|\\\Z""")

_turns = threading.BoundedSemaphore(AT_ONCE_MAX)
_answers = Remembered[Answer](FRESH_S, REMEMBERED_MAX)
_programs: dict[str, str] = {}


class Refused(Exception):
    """The ssh program does not answer. The message has the program's own words."""


class Late(Refused):
    """The ssh program does not come to an end: a command of a `Match exec` may wait."""


def find_program() -> str | None:
    """Return the path of the ssh program, or None."""
    path = os.environ.get("PATH", os.defpath)
    found = _programs.get(path)
    if found is None or not os.access(found, os.X_OK):  # a look through the PATH costs a tenth of a start of ssh
        found = shutil.which("ssh", path=path)
        if found is not None:
            _programs[path] = found
    return found


def refuse_unfit(question: Question) -> None:
    """Raise Unreachable for a name that a shell would take for more than a word, or ssh for an option.

    A name of the inventory goes into the commands of `Match exec` and ProxyCommand.
    """
    # The rules of OpenSSH 9.6. Earlier releases give any name to the shell.
    if question.host.startswith("-") or _NOT_IN_NAMES.search(question.host) or not question.host:
        printable = "".join(char if char.isprintable() else "?" for char in question.host)
        raise Unreachable(
            f"{printable} is no known host name (a shell would take it for more than a name)",
            hint="correct host: in the inventory",
        )
    if question.user is not None and (question.user.startswith("-") or _NOT_IN_USERS.search(question.user)):
        raise Unreachable(
            f"{question.user!r} is no name of a user: a shell would take it for more",
            hint="correct user: in the inventory",
        )


def ask(program: str, config: Path | None, question: Question) -> Answer:
    """Return ssh's answer, at most FRESH_S old. Raise Refused, or Late if ssh does not come to an end."""
    key = (program, config, *stamps(_beginnings(config)), question)
    return _answers.get(key, lambda: _ask(program, config, question))


def usual(program: str) -> Mapping[str, tuple[str, ...]]:
    """Return the options that ssh has without any configuration."""
    return ask(program, Path(os.devnull), Question("localhost")).lines


def stamps(files: Iterable[Path]) -> tuple[object, ...]:
    """Return what changes with the files."""
    found: list[object] = []
    for file in files:
        with suppress(OSError):
            info = file.stat()
            found += [str(file), info.st_ino, info.st_size, info.st_mtime_ns]
    return tuple(found)


def _beginnings(config: Path | None) -> tuple[Path, ...]:
    """Return the files that ssh begins with. Included files may change unseen for FRESH_S."""
    return (config,) if config is not None else (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config"))


def _ask(program: str, config: Path | None, question: Question) -> Answer:
    command = [program, "-v", "-G"]  # with -v ssh names the files that it reads
    command += [] if config is None else ["-F", str(config.absolute())]
    command += [] if question.user is None else ["-l", question.user]
    command += [] if question.port is None else ["-p", str(question.port)]
    command += ["-o", "ControlPath=%C"]  # ssh alone knows how the present release makes %C
    try:
        text, said = _run([*command, question.host])
    except Refused as refused:
        if _LOOP not in str(refused):
            raise
        # A ProxyJump for all hosts is not for the jump host.
        text, said = _run([*command, "-o", "ProxyJump=none", question.host])
    return Answer(question, options_in(text), by_ssh=True, files=tuple(_READ.findall(said)))


def _run(command: list[str]) -> tuple[str, str]:
    """Return what a command prints, and what the command says beside. Raise Refused for a command that fails."""
    with _turns:
        # In a session of its own, so that no command of a `Match exec` finds the terminal.
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            out, err = process.communicate(timeout=LATE_S)
        except subprocess.TimeoutExpired:
            raise Late(f"the ssh configuration is not read within {LATE_S:g} s") from None
        finally:
            if process.returncode is None:
                end_session(process.pid)
                process.communicate()
    said = err.decode("utf-8", "surrogateescape")
    if process.returncode:
        raise Refused(_first_words(said) or f"ssh ended with status {process.returncode}")
    return out.decode("utf-8", "surrogateescape"), said


def _first_words(said: str) -> str:
    """Return the first line that ssh would say without -v too."""
    lines = (line.strip() for line in said.encode("utf-8", "surrogateescape").decode("utf-8", "replace").splitlines())
    return next((line for line in lines if line and not _OF_VERBOSE.match(line)), "")


def end_session(pid: int) -> None:
    """Kill the first group of a session: a program, and the commands that the program waits for."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def options_in(text: str) -> dict[str, tuple[str, ...]]:
    """Return the values of each option, by keyword in lower case."""
    lines: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.partition(" ")
        if keyword:
            keyword = keyword.lower()
            lines[keyword] = (*lines.get(keyword, ()), value)
    return lines
