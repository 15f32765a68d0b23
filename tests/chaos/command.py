"""The command line of the driver: one history in this process, or many in processes of their own."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

from tests.chaos.databases import ChaosDatabase, PostgresDatabase, SqliteFile, migrated_template, small_disk
from tests.chaos.history import History
from tests.chaos.report import Line, last_line, table
from tests.chaos.schedule import Case, Fault, Phase, case_at, cases
from tests.chaos.unavailable import not_injectable, unavailable
from tests.lab import REPOSITORY
from tests.servers import processes
from tests.servers.postgres import PostgresServer

HISTORY_S_MAX = 600.0
KINDS = ("sqlite", "postgresql")


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments, and the variables behind them, ask for; 0 if nothing was lost, doubled and so on."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))  # and so close everything
    options = _options(arguments)
    if options.list:
        sys.stdout.write(not_injectable(options.db))
        return 0
    if options.index is not None:
        return _one(options)
    return _many(options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--histories", type=int, default=int(environment.get("CHAOS_HISTORIES") or 300))
    parser.add_argument("--seed", type=int, default=int(environment.get("CHAOS_SEED") or secrets.randbelow(1_000_000)))
    parser.add_argument("--jobs", type=int, default=int(environment.get("CHAOS_JOBS") or (os.cpu_count() or 1) + 1))
    parser.add_argument("--db", choices=KINDS, default=environment.get("CHAOS_DB") or "sqlite")
    parser.add_argument("--fault", nargs="+", type=Fault, default=list(Fault), help="only histories of these faults")
    parser.add_argument("--phase", nargs="+", type=Phase, default=list(Phase), help="only histories of these phases")
    parser.add_argument("--index", type=int, help="run this one history of the seed, and keep its folder")
    parser.add_argument("--folder", type=Path, help="where the histories lie (a new temporary folder)")
    parser.add_argument("--list", action="store_true", help="say what cannot be injected here, and why")
    return parser.parse_args(arguments)


def _one(options: argparse.Namespace) -> int:
    case = case_at(options.seed, options.index)
    folder = options.folder or _new_folder()
    account = History(case, folder, database_maker(options.db, case, folder)).execute()
    line = Line.of(account, str(folder))
    sys.stdout.write(line.to_json() + "\n")
    return 0 if account.verdict.is_clean else 1


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="benchfleet-chaos-"))
    folder.chmod(0o755)  # the machines in it have other users
    return folder


def database_maker(kind: str, case: Case, folder: Path) -> Callable[[Path, ExitStack], ChaosDatabase]:
    """Return what makes the database of a history; one of PostgreSQL is on a server of its own."""

    def make(place: Path, stack: ExitStack) -> ChaosDatabase:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "orchestrator"]
        if kind == "sqlite":
            template = Path(os.environ.get("CHAOS_TEMPLATE") or migrated_template(folder, command, environment))
            return SqliteFile(place / "database", template)
        disk = small_disk(stack) if case.fault is Fault.DATABASE_FULL else None
        server = stack.enter_context(PostgresServer(place, data_parent=disk))
        url = server.create_database("chaos")
        subprocess.run([*command, "db", "upgrade", "--db", url], env=environment, check=True, capture_output=True)
        return PostgresDatabase(server, url, disk)

    return make


def _many(options: argparse.Namespace) -> int:
    base = options.folder or _new_folder()
    base.mkdir(parents=True, exist_ok=True)
    chosen = list(chosen_cases(options))
    sys.stdout.write(f"chaos: {len(chosen)} histories, CHAOS_SEED={options.seed}, {options.db}, in {base}\n")
    sys.stdout.flush()
    pool = Pool(base, options.db)
    lines = []
    with ThreadPoolExecutor(options.jobs) as executor:
        futures = [executor.submit(pool.execute, case) for case in chosen]
        for future in as_completed(futures):
            line = future.result()
            lines.append(line)
            sys.stderr.write(f"{len(lines)} of {len(chosen)}: {line.summary()}\n")
            if not line.is_clean:
                sys.stdout.write(line.complaint(options.seed, options.db))
                sys.stdout.flush()
    sys.stdout.write(table(lines) + last_line(lines) + "\n")
    with suppress(OSError):
        shutil.rmtree(base / "shared")
        base.rmdir()
    return 0 if all(line.is_clean for line in lines) else 1


def chosen_cases(options: argparse.Namespace) -> Iterator[Case]:
    """Return so many histories of the seed, of what can be injected here and is asked for."""
    left_out = frozenset(unavailable(options.db))
    wanted = (
        case for case in cases(options.seed, left_out) if case.fault in options.fault and case.phase in options.phase
    )
    return islice(wanted, options.histories)


class Pool:
    """Runs histories, each in a process and a folder of its own; the folder of one that is clean is removed."""

    def __init__(self, base: Path, kind: str) -> None:
        self._base = base
        self._kind = kind
        shared = base / "shared"
        shared.mkdir()
        self._environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        if kind == "sqlite":
            command = [sys.executable, "-m", "orchestrator"]
            self._environment["CHAOS_TEMPLATE"] = str(migrated_template(shared, command, self._environment))

    def execute(self, case: Case) -> Line:
        """Run one history; one that cannot be judged is told as such, and is not clean."""
        folder = self._base / str(case.index)
        folder.mkdir()
        output = folder / "driver.txt"
        options = ["--seed", str(case.seed), "--index", str(case.index), "--db", self._kind, "--folder", str(folder)]
        with output.open("w") as errors:
            process = subprocess.Popen(
                processes.dies_with_us([sys.executable, "-m", "tests.chaos", *options], signal.SIGTERM),
                cwd=REPOSITORY, env=self._environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            try:
                said, _ = process.communicate(timeout=HISTORY_S_MAX)
            except subprocess.TimeoutExpired:
                process.terminate()  # which closes what it opened: servers, disks, processes
                said, _ = process.communicate()
        try:
            line = Line.from_json(said.splitlines()[-1])
        except (IndexError, ValueError):
            return Line.unjudged(case, str(folder), f"the driver failed: {output.read_text()[-2000:]}")
        if line.is_clean:
            shutil.rmtree(folder)
        return line
