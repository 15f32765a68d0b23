"""Feed one target here, under limits: `python -m tests.fuzz.child TARGET SEED SECONDS MUTATIONS FOLDER [INPUT]`.

The input that is being fed stands in FOLDER/current, so that it is known whatever it does to the process.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from tests.fuzz.base import Target
from tests.fuzz.mutation import mutate

HANG_S = 20.0
"""No input of at most a few megabytes may take longer, on a busy machine either."""

MEMORY_BYTES = 768 << 20
"""What a parser may take on top of what the process has before the first input."""

INPUTS_WORD = "inputs"
_GROUPS = {
    "files": (
        "inventory",
        "sweep",
        "model",
        "tflite",
        "onnx",
        "saved-model",
        "array-file",
        "settings",
        "candidates",
        "selector",
        "known-hosts",
    ),
    "ssh": ("ssh-config", "ssh-answer", "known-hosts-command", "ssh-words"),
    "device": ("event-log", "ingest", "session", "account", "processors"),
    "worker": (
        "plan",
        "messages",
        "conversation",
        "records",
        "samples",
        "trial-output",
        "operator-trace",
        "bundle",
        "executable",
        "onnx-ranks",
        "sensors",
        "wire",
        "served-answer",
    ),
}


def target_names() -> list[str]:
    """Return the names of all targets."""
    return [name for names in _GROUPS.values() for name in names]


def load_target(name: str, folder: Path) -> Target:
    """Return a target, importing only what its group needs."""
    from importlib import import_module

    group = next(group for group, names in _GROUPS.items() if name in names)
    found = {target.name: target for target in import_module(f"tests.fuzz.{group}").targets(folder)}
    assert set(found) == set(_GROUPS[group])
    target: Target = found[name]
    return target


def main(
    name: str, seed: int, seconds: float, mutations_max: int | None, folder: Path, replay: Path | None = None
) -> int:
    """Feed a target what is kept in a file, or hazards, corpus and mutations until the time is over."""
    target = load_target(name, folder)
    inputs = (
        [replay.read_bytes()] if replay else _inputs(target, random.Random(f"{name} {seed}"), seconds, mutations_max)
    )
    feed(target, inputs, folder)
    return 0


def feed(target: Target, inputs: Iterable[bytes], folder: Path, hang_s: float = HANG_S) -> None:
    """Feed each input within the limits; what is raised is not caught, and what hangs ends the process."""
    _limit_memory()
    current = folder / "current"
    fed = 0
    try:
        for data in inputs:
            current.write_bytes(data)
            faulthandler.dump_traceback_later(hang_s, exit=True)
            target.feed(data)
            fed += 1
    finally:
        faulthandler.cancel_dump_traceback_later()
        print(f"{INPUTS_WORD} {fed}", flush=True)  # noqa: T201


def _inputs(target: Target, rng: random.Random, seconds: float, mutations_max: int | None) -> Iterator[bytes]:
    yield from target.hazards
    yield from target.corpus
    end = time.monotonic() + seconds
    mutations = count() if mutations_max is None else range(mutations_max)
    for _ in mutations:
        if time.monotonic() > end:
            return
        yield mutate(rng, target.corpus)


def _limit_memory() -> None:
    """Bound the address space: what a parser asks for beyond it raises MemoryError, which no parser may let out."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    _, name, seed, seconds, mutations, *paths = sys.argv
    mutations_max = int(mutations) if mutations else None
    sys.exit(main(name, int(seed), float(seconds), mutations_max, *map(Path, paths)))
