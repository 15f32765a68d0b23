"""A real PostgreSQL server on loopback, with a cluster of its own that vanishes when it closes."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.servers import processes
from tests.servers.errors import ServerUnavailable
from tests.servers.ports import free_port

_PORT_TRIES = 5
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_ROLE = "benchfleet"
_SETTINGS = {"max_connections": "100", "unix_socket_directories": ""}
# The data of most tests needn't survive a power cut: speed is all.
_IN_A_HURRY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "32MB"}


class PostgresServer:
    """A private PostgreSQL cluster that clients reach by TCP with a password.

    As a context manager it runs inside the block, and `close` removes it. `stop` and `start` in between are an
    outage: same port, same data.

    `directory` gets the server's log. The data lies in a temporary directory of its own, because PostgreSQL
    refuses to run as root: then it runs as the user `postgres`, who couldn't reach a directory of root's.
    `data_parent` is where that directory is to lie instead of the system's own place for temporary ones.
    A `durable` server has PostgreSQL's own defaults: what it acknowledges survives a power cut.
    """

    def __init__(self, directory: Path, *, data_parent: Path | None = None, durable: bool = False) -> None:
        self.host = "127.0.0.1"
        self.port = free_port(self.host)
        self.password = secrets.token_hex(16)
        self._programs = _find_programs()
        self._account = account_of_servers()
        self.role = _ROLE
        self.created_roles: list[str] = []
        self._log_file = directory.resolve() / "postgres.log"
        self._data_parent = data_parent
        self._settings = _SETTINGS if durable else {**_SETTINGS, **_IN_A_HURRY}
        self._data: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def is_stopped(self) -> bool:
        """Whether the server is not running."""
        return self._process is None

    @property
    def pid(self) -> int:
        """The server's process, below which are those of its clients."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database `postgres`, which every cluster has."""
        return self._url("postgres")

    def create_database(self, name: str, *, icu_locale: str | None = None, encoding: str | None = None) -> str:
        """Create an empty database and return its URL; the name goes into it as it is, so keep it plain.

        With an ICU locale names sort as people of that language have it, rather than by their bytes.
        """
        import psycopg  # an optional extra
        from psycopg import sql

        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if icu_locale is not None:
                sorted_by = sql.SQL(" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE {}")
                statement += sorted_by.format(sql.Literal(icu_locale))
            if encoding is not None:
                written_in = sql.SQL(" TEMPLATE template0 LOCALE 'C' ENCODING {}")
                statement += written_in.format(sql.Literal(encoding))
            connection.execute(statement)
        return self._url(name)

    def create_role(self, name: str, *settings: str, database: str | None = None) -> str:
        """Create a user that may log in, with `settings` such as "lock_timeout = '1s'", and return its URL."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(self.password)))
            for setting in settings:
                connection.execute(sql.SQL("ALTER ROLE {} SET ").format(role) + sql.SQL(setting))
        self.created_roles.append(name)
        return self._url(database or "postgres").replace(f"//{_ROLE}:", f"//{name}:")

    def log_text(self) -> str:
        """Return what the server has logged so far, over all its starts."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def start(self) -> None:
        """Start the server; return once it takes connections. Does nothing when already running."""
        if self._process is not None:
            return
        new = self._data is None
        try:
            if self._data is None:
                self._data = self._make_cluster()
            for _ in range(_PORT_TRIES):
                if self._launch(self._data):
                    return
                if new:
                    self.port = free_port(self.host)
        except BaseException:
            self.close()
            raise
        self.close()
        raise ServerUnavailable(f"PostgreSQL found port {self.port} taken, {_PORT_TRIES} times")

    def stop(self) -> None:
        """End the server and its clients' sessions at once; the data stays for another `start`."""
        if self._process is None:
            return
        # SIGINT: roll back and go, waiting for no client. SIGQUIT: don't even tidy up.
        for stop_signal in (signal.SIGINT, signal.SIGQUIT):
            self._process.send_signal(stop_signal)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            processes.kill([*processes.descendants(self._process.pid), self._process.pid])
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop, and remove the cluster with all its data."""
        self.stop()
        if self._data is not None:
            shutil.rmtree(self._data)
            self._data = None

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{_ROLE}:{self.password}@{self.host}:{self.port}/{database}"

    def _make_cluster(self) -> Path:
        data = self._make_folder()
        password_file = data / "password"
        password_file.write_text(self.password)
        if self._account:
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        command = [
            str(self._programs / "initdb"), "--pgdata", str(data / "cluster"), "--username", _ROLE,
            "--pwfile", str(password_file), "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        self._make(command, data)
        password_file.unlink()
        return data

    def _make_folder(self) -> Path:
        # the user `postgres` may not reach our own TMPDIR
        parent = self._data_parent or ("/tmp" if self._account else None)
        data = Path(tempfile.mkdtemp(prefix="benchfleet-postgres-", dir=parent))
        if self._account:
            os.chown(data, self._account.pw_uid, self._account.pw_gid)
        return data

    def _make(self, command: list[str], data: Path, **variables: str) -> None:
        done = subprocess.run(
            command,
            check=False, cwd=data, user=self._user, group=self._group, extra_groups=self._groups,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env={**os.environ, **variables},
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(data)
            raise ServerUnavailable(f"{Path(command[0]).name} failed:\n{done.stderr}")

    def _launch(self, data: Path) -> bool:
        """Start the server once; False if another program holds the port."""
        settings = {**self._settings, "listen_addresses": self.host, "port": str(self.port)}
        command = [str(self._programs / "postgres"), "-D", str(data / "cluster")]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        logged_before = len(self.log_text())
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                processes.dies_with_us(command, signal.SIGINT),
                cwd=data, user=self._user, group=self._group, extra_groups=self._groups,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        processes.wait_until(lambda: self._exited() or self._is_ready(), "PostgreSQL is ready", _START_TIMEOUT_S)
        if not self._exited():
            return True
        self._process = None
        if "Address already in use" in self.log_text()[logged_before:]:
            return False
        raise ServerUnavailable(f"PostgreSQL ended at once:\n{self.log_text()[logged_before:]}")

    def _exited(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _is_ready(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port)]
        return subprocess.run(command, check=False, timeout=_START_TIMEOUT_S).returncode == 0

    @property
    def _user(self) -> int | None:
        return self._account.pw_uid if self._account else None

    @property
    def _group(self) -> int | None:
        return self._account.pw_gid if self._account else None

    @property
    def _groups(self) -> list[int] | None:
        return [] if self._account else None


class PostgresStandby(PostgresServer):
    """A server that repeats another server's changes and takes none of its own."""

    def __init__(self, primary: PostgresServer, directory: Path) -> None:
        super().__init__(directory)
        self.password = primary.password
        self._primary = primary

    def _make_cluster(self) -> Path:
        data = self._make_folder()
        command = [
            str(self._programs / "pg_basebackup"), "--pgdata", str(data / "cluster"), "--write-recovery-conf",
            "--host", self._primary.host, "--port", str(self._primary.port), "--username", _ROLE,
            "--checkpoint", "fast", "--no-sync", "--no-password",
        ]  # fmt: skip
        self._make(command, data, PGPASSWORD=self.password)
        return data


def _find_programs() -> Path:
    """Return the directory of the newest PostgreSQL's server programs (Debian keeps them off the PATH)."""
    releases = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_first = sorted(releases, key=lambda initdb: float(initdb.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    found = [*newest_first, *([Path(on_path).resolve()] if on_path else [])]
    if not found:
        raise ServerUnavailable("no PostgreSQL server found: run scripts/install-system-packages")
    return found[0].parent


def account_of_servers() -> pwd.struct_passwd | None:
    """Return the account to run the server as, or None for our own; PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise ServerUnavailable("PostgreSQL doesn't run as root, and there is no user `postgres`") from None
