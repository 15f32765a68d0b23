"""Tell why no worker started, by what the account printed instead.

Many things stand between a login and a Python: the account, the login shell, a forced command, the interpreter. Each
prints words of its own, on either output, and ends with a status that others share. Words decide before the status.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.domain.errors import DeviceError, LinkLost, NoPython, WorkerFailed
from orchestrator.session import answers
from orchestrator.transport.base import Completed

_WORDS_MAX = 300
_LINES_MAX = 40
_NOT_RUNNABLE = (126, 127)

_PYTHON_HINT = "install Python 3.7 or newer there, or set python: to its path in the inventory"
_REPAIR_HINT = "run {python} --version on the device, or set python: to another interpreter in the inventory"
_RUNS_COMMANDS = "ssh to the account with `echo hello` for the command: only `hello` may be answered"


@dataclass(frozen=True, slots=True)
class _Account:
    """Something that an account prints instead of running a command. `pattern` is looked for in each line.

    `names_python`: the line must name the interpreter too, since start-up files print complaints of their own.
    """

    pattern: re.Pattern[str]
    message: str
    hint: str
    kind: Callable[[str, str], DeviceError] = WorkerFailed
    names_python: bool = False


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_CANNOT_START = _says(
    r"error while loading shared libraries|error loading shared library|version `?GLIBC|relocat(ion|ing)"
)
# The order is that of a login: the account first, then the shell, then the interpreter.
_ACCOUNTS = (
    _Account(
        # pam_unix, OpenSSH, shadow.
        _says(r"password (has )?expired|password change required|required to change your password"),
        "the account's password has expired",
        "log in by hand once (ssh -t) and set a new one, or as root on the device: chage -M -1 USER",
    ),
    _Account(
        _says(r"account (has )?expired|account is (locked|disabled)"),
        "the account has expired or is locked",
        "as root on the device: chage -E -1 USER, or set another user: in the inventory",
    ),
    _Account(
        # pam_nologin: nologin's own words are further below, and mean the account.
        _says(r"system is (booting up|going down)|unprivileged users are not permitted to log in"),
        "the device is booting, or going down, and lets nobody in yet",
        "wait until it has booted; /run/nologin on the device says so if it stays",
        LinkLost,
    ),
    _Account(
        # pam_limits, and the kernel's limits on what a user may start.
        _says(r"too many logins for"),
        "the account has as many logins as it may have",
        "end some (who, on the device), or raise maxlogins in its /etc/security/limits.conf",
    ),
    _Account(
        _says(r"(fork|vfork|spawn|thread).*(resource temporarily unavailable|cannot allocate memory)|cannot fork"),
        "the account can start no further process",
        "end what it has started (ps -u USER, on the device), or raise its limits: ulimit -u, TasksMax, memory",
    ),
    _Account(
        _says(r"allows sftp connections only|sftp[- ]only"),
        "the account transfers files and runs no commands",
        "take ForceCommand internal-sftp off it in the sshd_config there, or set another user: in the inventory",
    ),
    _Account(
        _says(r"\brestricted\b"),
        "the account's login shell is a restricted one",
        "give it a plain shell, as root on the device: chsh -s /bin/sh USER; or set another user: in the inventory",
    ),
    _Account(
        # nologin(8) of shadow and of BSD, /etc/nologin of pam_nologin, and the words of Git servers.
        _says(
            r"account is (currently )?not available|not available for login|nologin|do(es)? not (provide|allow) shell"
        ),
        "the account runs no commands",
        "give it a login shell, as root on the device: chsh -s /bin/sh USER; or set another user: in the inventory",
    ),
    _Account(
        # The shell names the file: the command that starts the worker is none.
        _says(r"(\.\w*(rc|profile|login|env)|/etc/(profile|bash|zsh|csh|environment)[^\s:]*)\b.*(syntax|parse) error"),
        "a start-up file of the account's login shell is broken",
        f"correct the file at the line that is named; {_RUNS_COMMANDS}",
    ),
    _Account(
        _says(r"unmatched ['\"`]|event not found|word too long|syntax error|parse error|unexpected (token|EOF)"),
        "the account's login shell cannot read the command that starts the worker",
        "set a POSIX shell for the account, as root on the device: chsh -s /bin/sh USER",
    ),
    _Account(
        _CANNOT_START,
        "{python} is there and cannot start",
        _REPAIR_HINT,
        names_python=True,
    ),
    _Account(
        _says(r"exec format error|cannot execute binary|wrong elf class"),
        "{python} is a program for another processor or system",
        "set python: in the inventory to an interpreter of the device's own",
        NoPython,
        names_python=True,
    ),
    _Account(
        _says(r"permission denied|not executable"),
        "{python} cannot be run by this account",
        "check its permissions, and whether its file system is mounted noexec; or set python: to another interpreter",
        NoPython,
        names_python=True,
    ),
)
_NOT_FOUND = _says(r"not found|no such file|unknown command|is not recognized|unable to find|cannot find")


def explain_start(completed: Completed, python: str, printed: bytes = b"") -> DeviceError:
    """Return the error for a command that ended before the loader's line.

    `printed` is the end of standard output, where nologin and forced commands write.
    """
    lines = [*_lines(printed), *_lines(completed.stderr)]
    words = lines[-1] if lines else ""
    known = _of_account(lines, python)
    missing = _missing_line(lines, python)
    if known is not None and missing is None:
        return known
    if missing is not None or completed.exit_status in _NOT_RUNNABLE:
        said = missing or words
        return NoPython(f"no {python} on the device" + (f" ({said})" if said else ""), _PYTHON_HINT)
    if completed.exit_status > 0:
        return _ended(completed.exit_status, python, words)
    if completed.exit_status == 0:
        # A cut link has no exit status: a program that is not ours has ended in order.
        answered = f"and printed: {words}" if words else "without a word"
        return WorkerFailed(
            f"something else than {python} answered the command, {answered}",
            f"does a forced command, ForceCommand or a start-up file stand in between? {_RUNS_COMMANDS}",
        )
    return LinkLost("the connection ended before the worker answered" + (f": {words}" if words else ""))


def too_much_printed() -> DeviceError:
    """Return the error for an account that prints without end."""
    return WorkerFailed(
        "the login shell prints without end",
        f"keep the start-up files of the account quiet for non-interactive shells; {_RUNS_COMMANDS}",
    )


def _of_account(lines: list[str], python: str) -> DeviceError | None:
    for account in _ACCOUNTS:
        named = [line for line in lines if _names(python, line)] if account.names_python else lines
        found = next((line for line in named if account.pattern.search(line)), None)
        if found is not None:
            message = f"{account.message.format(python=python)}: {found}"
            return account.kind(message, account.hint.format(python=python))
    return None


def _ended(status: int, python: str, words: str) -> DeviceError:
    if not words:
        return WorkerFailed(
            f"{python} ended with {status}, without a word",
            f"{_REPAIR_HINT.format(python=python)}; if nothing runs there, does the account have a login shell?",
        )
    return WorkerFailed(f"{python} ended with {status}: {words}", f"{_REPAIR_HINT.format(python=python)}")


def _missing_line(lines: list[str], python: str) -> str | None:
    """Return the line in which a shell tells that the interpreter is not there, or None.

    csh, nushell and xonsh say so with status 1. Of an interpreter that is there, the loader misses something else.
    """
    named = [line for line in lines if _names(python, line) and _NOT_FOUND.search(line)]
    return next((line for line in named if not _CANNOT_START.search(line)), None)


def _names(python: str, line: str) -> bool:
    return python.rpartition("/")[2].casefold() in line.casefold()


def _lines(printed: bytes) -> list[str]:
    text = printed.decode("utf-8", "replace").splitlines()
    return [answers.words(line)[:_WORDS_MAX] for line in text if line.strip()][-_LINES_MAX:]
