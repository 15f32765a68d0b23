"""A real PgBouncer on loopback, before a real PostgreSQL."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.servers import processes
from tests.servers.errors import ServerUnavailable
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, account_of_servers

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0


class PgBouncer:
    """Gives out the sessions of a server, as a context manager.

    `size` sessions for each database and user: with one, all clients share it. `settings` are lines of its file.
    """

    def __init__(self, server: PostgresServer, *, mode: str = "transaction", size: int = 1, settings: str = "") -> None:
        self._program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if self._program is None:
            raise ServerUnavailable("no PgBouncer found: run scripts/install-system-packages")
        self._server = server
        self._mode = mode
        self._size = size
        self._settings = settings
        self._port = free_port("127.0.0.1")
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        account = account_of_servers()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="benchfleet-pgbouncer-", dir="/tmp"))
        users = {self._server.role, *self._server.created_roles}
        (folder / "users").write_text("".join(f'"{user}" "{self._server.password}"\n' for user in users))
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={self._server.host} port={self._server.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder / 'users'}\npool_mode = {self._mode}\n"
            f"default_pool_size = {self._size}\nlogfile = {folder / 'log'}\n{self._settings}\n"
        )
        user = group = None
        if account is not None:
            user, group = account.pw_uid, account.pw_gid
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user, group)
        self._process = subprocess.Popen(
            processes.dies_with_us([str(self._program), str(folder / "pgbouncer.ini")], signal.SIGINT),
            user=user, group=group, extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            processes.wait_until(self._is_up, "PgBouncer listens", _START_TIMEOUT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None

    def url(self, server_url: str) -> str:
        """Return the URL of a database of the server by way of the pooler."""
        return server_url.replace(f":{self._server.port}/", f":{self._port}/")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._folder is not None
        log = self._folder / "log"
        said = log.read_text(errors="replace") if log.exists() else ""
        if self._process.poll() is not None:
            raise ServerUnavailable(f"PgBouncer ended at once:\n{said}")
        return "listening on 127.0.0.1" in said
