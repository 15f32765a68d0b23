"""Find the names of a lab for completion: in the inventory, in an SQLite file, or in what is remembered of a server.

A server is never waited for: to import its driver takes longer than a person waits for a key. A process of its own asks
the server, and remembers the names for the next time.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from orchestrator.lab_folder import INVENTORY_FOLDER, SETTINGS_FILE

DEVICE, RUN, VARIANT, METRIC, TAG, MODEL, SWEEP = "device", "run", "variant", "metric", "tag", "model", "sweep"
SCHEDULE = "schedule"

REMEMBER = "_BENCHFLEET_REMEMBER"
"""The variable that makes a process ask a server for names: the file to write."""
_NEWEST = "SELECT id, name FROM run ORDER BY started_at DESC LIMIT 40"
STATEMENTS: Mapping[str, str] = {
    DEVICE: "SELECT name FROM device ORDER BY name LIMIT 2000",
    VARIANT: "SELECT DISTINCT name FROM model_variant ORDER BY name LIMIT 500",
    MODEL: "SELECT name FROM model ORDER BY name LIMIT 500",
    SWEEP: "SELECT DISTINCT name FROM sweep ORDER BY name LIMIT 500",
    SCHEDULE: "SELECT name FROM schedule ORDER BY name LIMIT 500",
    TAG: "SELECT DISTINCT key || '=' || value FROM run_tag ORDER BY 1 LIMIT 500",
    RUN: f"SELECT name FROM ({_NEWEST}) AS newest WHERE name IS NOT NULL "  # noqa: S608 - constants of ours
    f"UNION ALL SELECT id FROM ({_NEWEST}) AS newest",  # - constants of ours
}
"""The names of each kind, in words that both databases understand."""
_FRESH_S = 10.0


def names_in_database(kind: str, url: str, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of a kind. A relative file is below `folder`. What cannot be read has no names."""
    if "://" in url and not url.startswith("sqlite:///"):
        yield from _remembered(kind, url, environ)
        return
    file = folder / url.removeprefix("sqlite:///")
    if file.is_file():
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as found,
        ):
            yield from (str(name) for (name,) in found.execute(STATEMENTS[kind]))


def _remembered(kind: str, url: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of a server as they are remembered. Have a server asked that was not asked just now."""
    file = memory_of(url, environ)
    age_s = _age_s(file)
    if age_s is None or age_s > _FRESH_S:
        # At the end: the other process would take its time from this one, for whose answer a person waits.
        atexit.register(_ask, url, file, environ)
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8")).get(kind, ())
        yield from (name for name in found if isinstance(name, str))


def memory_of(url: str, environ: Mapping[str, str]) -> Path:
    """Return the file of the names of a server."""
    home = Path(environ.get("HOME") or Path.home())
    caches = environ.get("XDG_CACHE_HOME") or ""
    base = Path(caches) if caches.startswith("/") else home / ".cache"
    # The address may have a password in it.
    return base / "benchfleet-controller" / "names" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _age_s(file: Path) -> float | None:
    try:
        return max(time.time() - file.stat().st_mtime, 0.0)
    except OSError:
        return None


def _ask(url: str, file: Path, environ: Mapping[str, str]) -> None:
    """Start a process that asks a server for names, and that lives on after the completion."""
    sys.stdout.flush()
    # Not `subprocess`, whose import is a tenth of the time that there is. The address stands in no list of processes.
    told = {**environ, REMEMBER: str(file), "BENCHFLEET_DB": url}
    told.pop("_BENCHFLEET_COMPLETE", None)
    nothing = os.open(os.devnull, os.O_RDWR)
    # A shell waits for the end of this process's output: nobody else may hold it open.
    actions = [(os.POSIX_SPAWN_DUP2, nothing, descriptor) for descriptor in range(3)]
    os.posix_spawn(sys.executable, [sys.executable, "-m", "orchestrator"], told, file_actions=actions, setsid=True)
    os.close(nothing)


def remember_names() -> None:
    """Ask the server for names, and write the names down for the next completion."""
    remember(Path(os.environ[REMEMBER]))


def remember(file: Path) -> None:
    """Ask the server of the settings for all names, and write them into a file. Whatever goes wrong leaves no trace."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.errors import OrchestratorError
    from orchestrator.settings import load_settings

    with suppress(OrchestratorError, OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A server that does not answer is asked no more than once in a while.
        file.touch()
        with Wiring(load_settings()) as wiring:
            console = wiring.sql_console()
            found = {kind: [str(name) for (name,) in console.query(text)[1]] for kind, text in STATEMENTS.items()}
        incoming = file.with_name(f".{file.name}.{os.getpid()}.incoming")
        incoming.write_text(json.dumps(found), encoding="utf-8")
        incoming.replace(file)


def setting(lab: Path, key: str) -> str | None:
    """Return a text of the lab's settings file, or None."""
    import tomllib

    try:
        value = tomllib.loads((lab / SETTINGS_FILE).read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, str) else None


def names_in_inventory(lab: Path) -> Iterator[str]:
    """Yield the devices of the lab's own inventory folder, as people write inventories: a line for each name."""
    # By lines: to import a parser of YAML takes half of the time that there is.
    for file in sorted((lab / INVENTORY_FOLDER).glob("*.y*ml")):
        with suppress(OSError, ValueError):
            yield from _below_devices(file.read_text(encoding="utf-8").splitlines())


def _below_devices(lines: Sequence[str]) -> Iterator[str]:
    depth: int | None = None
    is_inside = False
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if indent == 0:
            is_inside, depth = line.startswith("devices:"), None
        elif is_inside:
            depth = indent if depth is None else depth
            name, colon, _ = line.strip().partition(":")
            if indent == depth and colon:
                yield name.strip("'\"")
