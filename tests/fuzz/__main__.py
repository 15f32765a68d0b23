"""Fuzz every parser for a bounded time: `python -m tests.fuzz --seconds 60 --seed 1`; `make fuzz` calls it.

Each target runs in a process of its own, which may take so much memory and, for one input, so long and no more. An
input that does harm is kept below `.cache/fuzz`, and `--replay FILE` feeds it again. The last line is
`targets N inputs N defects N`; the exit code says the same.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.base import REPOSITORY
from tests.fuzz.child import HANG_S, INPUTS_WORD, target_names

KEPT = REPOSITORY / ".cache" / "fuzz"
SLACK_S = 60.0
"""How much longer than told a process may take before it is ended: it starts, and feeds the hazards first."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one target did."""

    target: str
    inputs: int
    defect: str | None


def main() -> int:
    """Run the targets one after the other, as often as the time allows; return 1 if one has a defect."""
    arguments = _arguments()
    names = [arguments.target] if arguments.target else target_names()
    each_s = arguments.seconds / len(names)
    endings = [_run(name, arguments, each_s) for name in names]
    defects = [ending for ending in endings if ending.defect is not None]
    for ending in endings:
        print(f"{ending.target:<16} {ending.inputs:>8} inputs  {ending.defect or 'ok'}")  # noqa: T201
    print(f"targets {len(endings)} inputs {sum(e.inputs for e in endings)} defects {len(defects)}")  # noqa: T201
    return 1 if defects else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz every parser for a bounded time.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (60)")
    parser.add_argument("--mutations", type=int, help="at most so many for each target, however fast the machine is")
    parser.add_argument("--seed", type=int, default=1, help="the same seed mutates the same way (1)")
    parser.add_argument("--target", choices=target_names(), help="only this one")
    parser.add_argument("--replay", type=Path, help="feed this file, and nothing else; needs --target")
    arguments = parser.parse_args()
    if arguments.replay and not arguments.target:
        parser.error("--replay needs --target")
    return arguments


def _run(name: str, arguments: argparse.Namespace, seconds: float) -> Ending:
    """Run one target in a process of its own; whatever way that ends, say so."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        bounds = [str(seconds), str(arguments.mutations or "")]
        command = [sys.executable, "-m", "tests.fuzz.child", name, str(arguments.seed), *bounds, folder]
        if arguments.replay is not None:
            command.append(str(arguments.replay.resolve()))
        try:
            done = subprocess.run(
                command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False,
                stdin=subprocess.DEVNULL, timeout=seconds + SLACK_S + HANG_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            return Ending(name, 0, f"HUNG after {late.timeout:g} s; {_keep(name, Path(folder))}")
        inputs = _inputs(done.stdout)
        if done.returncode == 0:
            return Ending(name, inputs, None)
        kept = _keep(name, Path(folder))
        return Ending(name, inputs, f"exit code {done.returncode}; {kept}\n{done.stderr[-4000:]}")


def _inputs(output: str) -> int:
    lines = [line for line in output.splitlines() if line.startswith(INPUTS_WORD)]
    return int(lines[-1].split()[1]) if lines else 0


def _keep(name: str, folder: Path) -> str:
    """Keep the input that did it, and return how to feed it again."""
    current = folder / "current"
    if not current.exists():
        return "before the first input"
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{name}.input"
    kept.write_bytes(current.read_bytes())
    return f"again: python -m tests.fuzz --target {name} --replay {shlex.quote(str(kept.relative_to(REPOSITORY)))}"


if __name__ == "__main__":
    sys.exit(main())
