"""Accounts of every kind over real SSH: shells that are not POSIX run the worker, and others say why they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SHELLS = ("bash", "dash", "busybox sh", "zsh", "ksh", "fish", "tcsh", "bsd-csh")


def lab_of(directory: Path, server: SshServer, **fields: str) -> Lab:
    lab = Lab(directory)
    lab.trust(server)
    lab.add_ssh("board", server, **fields)
    return lab


@pytest.fixture(scope="module", params=SHELLS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """An sshd whose clients' commands are understood by this shell."""
    program, *applet = request.param.split()
    shell = shutil.which(program)
    if shell is None:
        pytest.skip(f"{program} is not installed: apt-get install tcsh csh busybox zsh ksh fish")
    words = " ".join((shell, *applet))
    with SshServer(tmp_path_factory.mktemp("sshd"), environment=NO_STARTUP_FILES, shell=words) as started:
        yield started


def test_the_worker_starts_in_every_shell_and_a_missing_python_is_told(tmp_path: Path, server: SshServer) -> None:
    lab = lab_of(tmp_path, server)
    lab.add_ssh("bare", server, python="python-of-nobody")
    bare, board = sorted(lab.json("devices", "probe"), key=lambda one: str(one["name"]) != "bare")
    assert board["error"] is None
    assert board["facts"]["hostname"] == os.uname().nodename
    assert bare["error"]["error"] == "NoPython"
    assert "no python-of-nobody on the device" in bare["error"]["message"]
    assert "set python: to its path" in bare["error"]["hint"]


def answered_by(folder: Path, program: str) -> SshServer:
    """Return a device whose account runs this program, whatever the command is."""
    folder.mkdir()
    script = folder / "account"
    script.write_text(program)
    script.chmod(0o755)
    return SshServer(folder / "sshd", environment=NO_STARTUP_FILES, shell=str(script))


NOISY = '#!/bin/sh\necho "Welcome to board 7!"; echo "no newline at the end" >&2; printf %s "$2"; exec /bin/sh "$@"\n'
ACCOUNTS: Mapping[str, tuple[str, str | None, str]] = {
    "nologin": ("#!/bin/sh\nexec /usr/sbin/nologin\n", "the account runs no commands", "chsh"),
    "forced": (
        "#!/bin/sh\necho only backups here\n",
        "answered the command, and printed: only backups",
        "ForceCommand",
    ),
    "silent": ("#!/bin/true\n", "answered the command, without a word", "ForceCommand"),
    "no-shell": ("#!/bin/false\n", "ended with 1, without a word", "login shell"),
    "endless": ("#!/bin/sh\nexec yes\n", "prints without end", "start-up files"),
    "noisy": (NOISY, None, ""),
    "restricted": ('#!/bin/sh\nexec bash -r "$@"\n', "login shell is a restricted one", "chsh -s /bin/sh"),
    "no-process": ('#!/bin/sh\necho "sh: 1: Cannot fork" >&2; exit 2\n', "can start no further process", "TasksMax"),
    "sftp": (
        "#!/bin/sh\necho This service allows sftp connections only.; exit 1\n",
        "transfers files and runs no commands",
        "internal-sftp",
    ),
}


def test_an_account_that_runs_no_commands_is_told_by_what_it_prints(tmp_path: Path) -> None:
    with ExitStack() as stack:
        lab = Lab(tmp_path / "lab")
        for place, (name, (program, _message, _hint)) in enumerate(ACCOUNTS.items()):
            server = stack.enter_context(answered_by(tmp_path / str(place), program))
            lab.trust(server)
            lab.add_ssh(name, server)
        found = {one["name"]: one["error"] for one in lab.json("devices", "probe")}
    for name, (_program, message, hint) in ACCOUNTS.items():
        if message is None:
            assert found[name] is None
        else:
            assert message in found[name]["message"]
            assert hint in found[name]["hint"]


@pytest.fixture
def expired_user() -> Iterator[str]:
    """An account of this machine whose password has expired."""
    if os.geteuid() != 0 or shutil.which("useradd") is None or shutil.which("chage") is None:
        pytest.skip("only root can make an account whose password has expired")
    name = f"bf-expired-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", name], check=True, timeout=30)
    try:
        subprocess.run(["chage", "--lastday", "0", name], check=True, timeout=30)
        yield name
    finally:
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True, timeout=30)


def test_an_expired_password_is_told(tmp_path: Path, expired_user: str) -> None:
    with SshServer(tmp_path / "sshd", other_users=[expired_user], use_pam=True) as server:
        keys = Path(f"~{expired_user}").expanduser() / ".ssh" / "authorized_keys"
        keys.parent.mkdir(mode=0o755)
        keys.write_text((server.directory / "authorized_keys").read_text())
        keys.chmod(0o644)
        (probed,) = lab_of(tmp_path / "lab", server, user=expired_user, python="python3").json("devices", "probe")
    assert "the account's password has expired" in probed["error"]["message"]
    assert "chage -M -1" in probed["error"]["hint"]
