"""A real OpenSSH server on loopback, run by and for the current user, that can fail as devices' servers do."""

import base64
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers import processes
from tests.servers.errors import ServerUnavailable
from tests.servers.ports import free_port

_PORT_TRIES = 5
_START_TIMEOUT_S = 10.0
_MARK = "BENCHFLEET_TEST_SSHD"

STOCK_MAX_STARTUPS = "10:30:100"

NO_STARTUP_FILES = {"SHLVL": "1"}
"""With it, bash under sshd does not source the developer's ~/.bashrc, which may take longer than a test."""


class SshServer:
    """An sshd that lets the current user in with one fresh key; a device, as far as SSH can tell.

    As a context manager it runs inside the block, and `close` ends all that came of it. In between, `stop` and
    `start` restart it as the same device: same port, same keys.

    `directory` is created; it holds keys, configuration and log, and belongs to this server alone.
    `environment` is what every session gets on top of sshd's own. `shell` understands the clients' commands in the
    place of the login shell. `prefix` are the words of a program that sshd is started through, such as `setpriv` with
    its options. `max_startups` says how many connections may not be logged in before sshd drops some, as sshd_config
    has it; sshd's own default is STOCK_MAX_STARTUPS. With `all_of_loopback` the server answers at every address of
    127.0.0.0/8, and lets nobody in who comes from elsewhere. `other_users` are let in by their own authorized_keys.
    With `use_pam` the machine's PAM judges the accounts, such as expired passwords.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        shell: str | None = None,
        prefix: Sequence[str] = (),
        max_startups: str = "1000:30:2000",
        all_of_loopback: bool = False,
        other_users: Sequence[str] = (),
        use_pam: bool = False,
    ) -> None:
        self.host = host
        self.port = free_port(host)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.directory = directory.resolve()
        self.identity_file = self.directory / "client_key"
        self._host_key_file = self.directory / "host_key"
        self._config_file = self.directory / "sshd_config"
        self._log_file = self.directory / "sshd.log"
        self._mark = secrets.token_hex(8)
        self._shell = shell
        self._environment = {**(environment or {}), _MARK: self._mark}
        self._prefix = list(prefix)
        self._use_pam = use_pam or _locked_root()
        self._max_startups = max_startups
        self._listens_at = "0.0.0.0" if all_of_loopback else host  # it takes no range
        self._allowed_users = f"{self.user}@127.0.0.0/8" if all_of_loopback else " ".join((self.user, *other_users))
        self._process: subprocess.Popen[bytes] | None = None
        self._started_before = False
        self._sshd = _find_sshd()
        self._make_files()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def known_hosts_line(self) -> str:
        """The line for a client's known_hosts that makes it trust this server's present host key."""
        return self.known_hosts_line_of(self.host)

    def known_hosts_line_of(self, host: str) -> str:
        """Return the line for a client that reaches the server at another address."""
        algorithm, key = self._public_host_key()
        return f"[{host}]:{self.port} {algorithm} {key}"

    @property
    def host_key_fingerprint(self) -> str:
        """The present host key's fingerprint, as `ssh-keygen -l` prints it: SHA256:…"""
        digest = hashlib.sha256(base64.b64decode(self._public_host_key()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def log_text(self) -> str:
        """Return what sshd has logged so far, over all its starts."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def start(self) -> None:
        """Start listening; return once a client would be greeted. Does nothing when already running."""
        if self._process is not None:
            return
        for _ in range(_PORT_TRIES):
            if self._launch():
                self._started_before = True
                return
            if not self._started_before:
                self.port = free_port(self.host)
        raise ServerUnavailable(f"sshd found port {self.port} taken, {_PORT_TRIES} times:\n{self._log_tail()}")

    def stop(self) -> None:
        """End sshd and its connections, as a device's `systemctl stop ssh` with all sessions killed would.

        Commands that sessions had started live on, unless they notice; so a detached program survives.
        """
        if self._process is None:
            return
        self._kill_connections_of_paused_server()
        self._process.kill()
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop, and end every command that was ever started through this server and still runs."""
        self.stop()
        processes.wait_until(self._no_command_left, f"commands started through port {self.port} are gone")

    def kill_connections(self) -> int:
        """Drop all open connections at once, mid-packet, and return how many; new ones are welcome."""
        if self._process is None:
            return 0
        try:
            return self._kill_connections_of_paused_server()
        finally:
            self._process.send_signal(signal.SIGCONT)

    def commands(self) -> list[int]:
        """Return the processes that sessions have started, and whatever came of them, wherever they are now."""
        return processes.with_environment(f"{_MARK}={self._mark}")

    def freeze(self) -> None:
        """Let nothing of the device run any more, in silence: sshd, its connections, all that they started."""
        stopped: set[int] = set()
        while fresh := set(self._everything()) - stopped:  # one that is not yet stopped may have started another
            for pid in fresh:
                with suppress(ProcessLookupError):
                    processes.pause(pid)
            stopped |= fresh

    def thaw(self) -> None:
        """Let everything go on."""
        for pid in self._everything():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _everything(self) -> list[int]:
        if self._process is None:
            return self.commands()
        return [self._process.pid, *processes.descendants(self._process.pid), *self.commands()]

    def rotate_host_key(self) -> None:
        """Come back on the same port with another host key: a reflashed device, or an impostor."""
        was_running = self._process is not None
        self.stop()
        self._make_key(self._host_key_file)
        if was_running:
            self.start()

    def _make_files(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_key(self._host_key_file)
        self._make_key(self.identity_file)
        shutil.copy(self.identity_file.with_suffix(".pub"), self.directory / "authorized_keys")

    @staticmethod
    def _make_key(file: Path) -> None:
        file.unlink(missing_ok=True)
        arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "benchfleet test", "-f", str(file)]
        subprocess.run(["ssh-keygen", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=30)

    def _public_host_key(self) -> tuple[str, str]:
        algorithm, key, *_ = self._host_key_file.with_suffix(".pub").read_text().split()
        return algorithm, key

    def _config(self) -> str:
        environment = " ".join(f'"{_quoted(name)}={_quoted(value)}"' for name, value in self._environment.items())
        return f"""\
ListenAddress {self._listens_at}
Port {self.port}
HostKey "{self._host_key_file}"
PidFile "{self.directory / "sshd.pid"}"
AuthorizedKeysFile "{self.directory / "authorized_keys"}" .ssh/authorized_keys
AuthenticationMethods publickey
AllowUsers {self._allowed_users}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM {"yes" if self._use_pam else "no"}
StrictModes no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups {self._max_startups}
MaxSessions 1000
LogLevel VERBOSE
Subsystem sftp internal-sftp
SetEnv {environment}
{self._force_shell()}
"""

    def _force_shell(self) -> str:
        return "" if self._shell is None else f'ForceCommand exec {self._shell} -c "$SSH_ORIGINAL_COMMAND"'

    def _launch(self) -> bool:
        """Start sshd once; False if another program holds the port."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation wants it
        self._config_file.write_text(self._config())
        logged_before = len(self.log_text())
        command = [*self._prefix, self._sshd, "-D", "-f", str(self._config_file), "-E", str(self._log_file)]
        command += _options_of_newer_releases(self._sshd, self._config_file)
        self._process = subprocess.Popen(
            processes.dies_with_us(command, signal.SIGTERM),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            processes.wait_until(
                lambda: self._exited() or self._greets(logged_before), "sshd listens", _START_TIMEOUT_S
            )
        except BaseException:
            self.stop()
            raise
        if not self._exited():
            return True
        self._process = None
        if "Address already in use" in self.log_text()[logged_before:]:
            return False
        raise ServerUnavailable(f"sshd ended at once:\n{self._log_tail()}")

    def _exited(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _greets(self, logged_before: int) -> bool:
        # The log tells our sshd from a stranger on the same port; the banner, that it serves.
        if f"Server listening on {self._listens_at} port {self.port}" not in self.log_text()[logged_before:]:
            return False
        try:
            with socket.create_connection((self.host, self.port), timeout=_START_TIMEOUT_S) as connection:
                return connection.recv(4) == b"SSH-"
        except ConnectionError:
            return False

    def _kill_connections_of_paused_server(self) -> int:
        """Pause sshd, so that it takes no connection meanwhile, and kill those it has."""
        assert self._process is not None
        if self._exited():
            return 0
        processes.pause(self._process.pid)
        connections = processes.children(self._process.pid)
        below = processes.descendants(self._process.pid)
        processes.kill(pid for pid in below if processes.name(pid).startswith("sshd"))
        return len(connections)

    def _no_command_left(self) -> bool:
        left = self.commands()
        processes.kill(left)
        return not left

    def _log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-10:]) or f"(nothing in {self._log_file})"


def _find_sshd() -> str:
    """Return sshd's absolute path, which it needs to start itself again for each connection."""
    sshd = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if sshd is None or shutil.which("ssh-keygen") is None:
        raise ServerUnavailable("no OpenSSH server found: run scripts/install-system-packages")
    return str(Path(sshd).resolve())


def _options_of_newer_releases(sshd: str, config: Path) -> list[str]:
    """Return the options that only some releases know: from 9.8 on, sshd slows down clients that fail often."""
    option = ["-o", "PerSourcePenalties=no"]
    known = subprocess.run([sshd, "-t", "-f", str(config), *option], check=False, capture_output=True, timeout=30)
    return option if known.returncode == 0 else []


def _locked_root() -> bool:
    """Whether we are root and its password is locked: sshd then lets root in only by way of PAM."""
    if os.getuid() != 0:
        return False
    accounts = Path("/etc/shadow").read_text().splitlines() if Path("/etc/shadow").exists() else []
    return any(line.startswith("root:!") for line in accounts)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
