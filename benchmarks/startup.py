"""What typing a command costs, against `--help` of a bare two-command Typer application in the same environment."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.environment import timed_environment
from benchmarks.figures import Figure

ROUNDS = 15

BARE = """\
import typer
app = typer.Typer()

@app.command()
def one(name: str) -> None:
    "Do one thing."

@app.command()
def two(count: int = 1) -> None:
    "Do another thing."

app()
"""


def measure() -> list[Figure]:
    """Time the three commands in turn, so that drift of the machine meets all alike; medians of the rounds."""
    with tempfile.TemporaryDirectory(prefix="benchfleet-startup-") as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        command = [sys.executable, "-m", "orchestrator"]
        subprocess.run(
            [*command, "db", "upgrade"], cwd=folder, env=timed_environment(), check=True, capture_output=True
        )
        argvs = {
            "bare": [sys.executable, "bare.py", "--help"],
            "help": [*command, "--help"],
            "runs": [*command, "runs", "list"],
        }
        times: dict[str, list[float]] = {key: [] for key in argvs}
        for number in range(ROUNDS + 1):
            for key, argv in argvs.items():
                began = time.perf_counter()
                subprocess.run(argv, cwd=folder, env=timed_environment(), check=True, capture_output=True)
                if number:  # the first round fills caches
                    times[key].append(time.perf_counter() - began)
    bare, help_, runs = (statistics.median(times[key]) for key in ("bare", "help", "runs"))
    return [
        Figure("bare Typer --help", bare, "s"),
        Figure("benchfleet --help", help_, "s"),
        Figure("benchfleet runs list", runs, "s"),
        Figure("benchfleet --help / bare --help", help_ / bare, "ratio", 1.3),
        Figure("benchfleet runs list / bare --help", runs / bare, "ratio", 2.0),
    ]
