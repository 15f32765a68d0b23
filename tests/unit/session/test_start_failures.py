"""Why no worker started, told by what the account printed: each remedy for at least two causes, and for no other."""

import pytest

from orchestrator.domain.errors import DeviceError, LinkLost, NoPython, WorkerFailed
from orchestrator.session.start_failures import explain_start
from orchestrator.transport.base import Completed

PYTHON = "/opt/py/bin/python3"


def explain(status: int, stderr: str = "", printed: str = "", python: str = "python3") -> DeviceError:
    return explain_start(Completed(status, b"", stderr.encode()), python, printed.encode())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (127, "sh: 1: python3: not found"),  # dash
        (127, "bash: line 1: python3: command not found"),
        (127, "zsh:1: command not found: python3"),
        (127, "fish: Unknown command: python3"),
        (1, "python3: Command not found."),  # csh, tcsh
        (1, "xonsh: subprocess mode: command not found: python3"),
        (1, "  × External command failed: Command `python3` not found"),  # nushell
        (1, "python3: The term 'python3' is not recognized as a name of a cmdlet, function"),  # PowerShell
        (127, "env: ‘python3’: No such file or directory"),
        (127, ""),
    ],
)
def test_a_python_that_is_not_there_is_told_by_every_shell(status: int, words: str) -> None:
    error = explain(status, words)
    assert isinstance(error, NoPython)
    assert error.message.startswith("no python3 on the device")
    assert words.strip()[:40] in error.message
    assert "install Python 3.7" in (error.hint or "")


@pytest.mark.parametrize(
    ("status", "stderr", "printed", "message", "hint"),
    [
        # nologin of shadow prints on standard output, a Git server greets, both with status 1 or 0
        (1, "", "This account is currently not available.\n", "runs no commands", "chsh -s /bin/sh"),
        (
            1,
            "",
            "Hi! You've authenticated, but we do not provide shell access.",
            "runs no commands",
            "set another user",
        ),
        (
            1,
            "WARNING: Your password has expired.\nPassword change required but no TTY available.\n",
            "",
            "password has expired",
            "chage",
        ),
        (
            1,
            "You are required to change your password immediately (administrator enforced).",
            "",
            "password has expired",
            "ssh -t",
        ),
        (
            1,
            "Your account has expired; please contact your system administrator.",
            "",
            "expired or is locked",
            "chage -E",
        ),
        (1, "Too many logins for 'pi'.", "", "as many logins as it may have", "maxlogins"),
        (254, "bash: fork: retry: Resource temporarily unavailable", "", "can start no further process", "ulimit -u"),
        (1, "bash: xmalloc: cannot fork", "", "can start no further process", "ulimit -u"),
        (1, "This service allows sftp connections only.", "", "transfers files", "internal-sftp"),
        (1, "rbash: /opt/py/bin/python3: restricted: cannot specify `/' in command names", "", "restricted", "chsh"),
        (127, "bash: exec: restricted", "", "restricted", "chsh"),
        (1, "Unmatched '''.", "", "login shell cannot read", "chsh"),
        (1, "1: Event not found.", "", "login shell cannot read", "chsh"),
        (2, "sh: 1: Syntax error: Unterminated quoted string", "", "login shell cannot read", "chsh"),
        (
            127,
            "python3: error while loading shared libraries: libpython3.9.so.1.0: cannot open shared object file",
            "",
            "is there and cannot start: python3: error while loading shared libraries: libpython3.9",
            "set python:",
        ),
        (
            1,
            "python3: /lib/libc.so.6: version `GLIBC_2.34' not found (required by python3)",
            "",
            "is there and cannot start",
            "set python:",
        ),
        (126, "bash: python3: cannot execute binary file: Exec format error", "", "another processor", "set python:"),
        (126, "bash: line 1: python3: Permission denied", "", "cannot be run by this account", "noexec"),
        (0, "", "only rsync is allowed here\n", "something else than python3 answered", "ForceCommand"),
        (0, "", "", "something else than python3 answered the command, without a word", "forced command"),
        (1, "", "", "ended with 1, without a word", "login shell"),
        (1, "Fatal Python error: init_fs_encoding: no codec", "", "ended with 1: Fatal Python error", "--version"),
    ],
)
def test_the_account_the_shell_and_the_interpreter_are_told_apart(
    status: int, stderr: str, printed: str, message: str, hint: str
) -> None:
    error = explain(status, stderr, printed)
    assert not isinstance(error, LinkLost)
    assert message in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    "noise",
    ["/home/pi/.bashrc: line 3: syntax error near unexpected token", "/home/pi/.profile: /data/x: Permission denied"],
)
def test_a_start_up_file_that_complains_is_not_taken_for_the_reason(noise: str) -> None:
    error = explain(127, f"{noise}\nbash: line 1: python3: command not found")
    assert isinstance(error, NoPython)
    assert "command not found" in error.message


def test_the_interpreter_is_named_as_the_inventory_has_it() -> None:
    error = explain(127, f"sh: 1: {PYTHON}: not found", python=PYTHON)
    assert error.message == f"no {PYTHON} on the device (sh: 1: {PYTHON}: not found)"


def test_a_cut_link_is_none_of_the_accounts_faults() -> None:
    assert isinstance(explain(-1), LinkLost)


def test_what_an_account_prints_reaches_no_terminal_as_it_is() -> None:
    error = explain(1, "\x1b[2Jhint: rm -rf\x07\n")
    assert isinstance(error, WorkerFailed)
    assert error.message.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        "/home/pi/.bashrc: line 7: syntax error near unexpected token `fi'",
        "/home/pi/.zshenv:3: parse error near `}'",
        "/etc/bash.bashrc: line 2: syntax error: unexpected end of file",
    ],
)
def test_a_start_up_file_that_is_broken_is_named_and_no_other_shell_is_asked_for(line: str) -> None:
    error = explain(2, line + "\n")
    assert isinstance(error, WorkerFailed)
    assert error.message == f"a start-up file of the account's login shell is broken: {line}"
    assert "correct the file" in (error.hint or "")
    assert "chsh" not in (error.hint or "")


def test_a_device_that_is_booting_is_tried_again_and_not_taken_for_an_account_without_a_shell() -> None:
    """The words of pam_nologin name pam_nologin."""
    words = (
        "System is booting up. Unprivileged users are not permitted to log in yet. Please come back later. "
        "For technical details, see pam_nologin(8)."
    )
    error = explain(1, words)
    assert isinstance(error, LinkLost)
    assert error.retryable
    assert error.message.startswith("the device is booting")
