"""Keep every event log that a device ever writes, and read it without the project's own reader.

A log is kept by a second hard link, made as soon as the file is there: it then holds whatever the runner appends,
and outlives its removal.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOK_S = 0.003


@dataclass(frozen=True, slots=True)
class Finished:
    """One `trial-finished` record, as a device wrote it."""

    device: str
    run: str
    log_id: str
    seq: int
    trial: str
    outcome: str
    invalid: bool
    number: int | None


class LogKeeper:
    """Links the logs of one device into `folder`, which lies on the same file system, until closed."""

    def __init__(self, state_dir: Path, folder: Path, look_s: float = LOOK_S) -> None:
        self._runs = state_dir / "runs"
        self._look_s = look_s
        self._folder = folder
        self._folder.mkdir(parents=True)
        self._known: set[tuple[int, int]] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="log keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look once more, and end."""
        self._closing.set()
        self._thread.join()

    def logs(self) -> list[Path]:
        """Return what was kept."""
        return sorted(self._folder.iterdir())

    def _watch(self) -> None:
        while not self._closing.wait(self._look_s):
            self._look()
        self._look()

    def _look(self) -> None:
        with suppress(OSError):  # a folder that goes while it is read is looked at again
            for entry in os.scandir(self._runs):
                self._keep(f"{entry.path}/log", f"{entry.name}.{entry.inode()}")

    def _keep(self, path: str, name: str) -> None:
        with suppress(OSError):
            info = Path(path).stat()
            if (info.st_dev, info.st_ino) not in self._known:
                os.link(path, self._folder / f"{name}.{info.st_ino}")
                self._known.add((info.st_dev, info.st_ino))


def read_records(data: bytes) -> list[dict[str, Any]]:
    """Return the whole records at the head of a log: a CRC in hex, a length, and so many bytes of JSON a line."""
    records: list[dict[str, Any]] = []
    for line in data.splitlines(keepends=True):
        words = line.split(b" ", 2)
        if len(words) != 3 or not line.endswith(b"\n"):
            break
        body = words[2][:-1]
        if not words[1].isdigit() or int(words[1]) != len(body) or f"{zlib.crc32(body):08x}".encode() != words[0]:
            break
        record = json.loads(body)
        if record["seq"] != len(records) + 1:
            break
        records.append(record)
    return records


def finished_in(records: list[dict[str, Any]], device: str, metric: str) -> list[Finished]:
    """Return what a log says of trials that ended."""
    if not records:
        return []
    opened = records[0]
    return [
        Finished(
            device, opened["run"], opened["log_id"], record["seq"], record["trial"], record["outcome"],
            bool(record["invalid"]), _number(record, metric),
        )
        for record in records
        if record["kind"] == "trial-finished"
    ]  # fmt: skip


def _number(record: dict[str, Any], metric: str) -> int | None:
    values = [found["value"] for found in record["metrics"] if found["name"] == metric and "value" in found]
    return int(values[0]) if values else None
