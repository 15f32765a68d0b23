"""Ask a metric of the user's what it says of outputs, in a process of its own, within bounds."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis import metric_process
from orchestrator.domain.scored import ScoredOutputs

Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class UserMetric:
    """Hold the user's file, and the bounds for a cell: wall time and processor time alike, and memory."""

    file: Path
    seconds: float
    memory_bytes: int


def read_labels(path: Path) -> Labels | None:
    """Return the labels of a data set, or None without any. Raise OSError or ValueError for a bad file."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["y"] if "y" in archive.files else None


def ask(metric: UserMetric, kept: ScoredOutputs, labels: Labels | None) -> Mapping[str, Any]:
    """Return what the metric says: `value` and perhaps `by_input`, or an `error` in words."""
    values = np.frombuffer(kept.data, dtype="<f4").reshape(kept.count, kept.values_per_output)
    # One output has its own shape. Values of several stand one behind the other.
    shaped = values.reshape(kept.count, *_item(kept.parts[0])) if len(kept.parts) == 1 else values
    packed = io.BytesIO()
    if labels is None:
        np.savez(packed, outputs=shaped)
    else:
        np.savez(packed, outputs=shaped, labels=labels[: kept.count])
    bounds = {"memory_bytes": metric.memory_bytes, "seconds": max(1, round(metric.seconds))}
    return _run(metric, json.dumps(bounds).encode() + b"\n" + packed.getvalue())


def _item(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an output without the batch of one."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def _run(metric: UserMetric, question: bytes) -> Mapping[str, Any]:
    argv = [sys.executable, "-I", metric_process.__file__, str(metric.file.absolute())]
    # Threads of numpy would take addresses for each processor, and the bound is on addresses.
    environment = {"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="benchfleet-metric-") as folder:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            answer, _ = process.communicate(question, timeout=metric.seconds)
        except subprocess.TimeoutExpired:
            return {"error": f"it took more than {metric.seconds:g} s"}
        finally:
            _end(process)
    return _read(answer, process.returncode, metric)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the user's program, and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # a question that was never read
                stream.close()


def _read(answer: bytes, status: int, metric: UserMetric) -> Mapping[str, Any]:
    lines = answer.splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except ValueError:
        said = None
    if isinstance(said, dict) and ("value" in said or "error" in said):
        return said
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return {"error": f"it took more than {metric.seconds:g} s of a processor"}
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return {"error": f"it ended by {how} without an answer"}
