"""Metrics of users: what they see and say, and what holds those that misbehave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.user_metric import UserMetric, ask, read_labels
from orchestrator.domain.scored import ScoredOutputs

VALUES = np.array([[0.0, 1.0], [3.0, 2.0], [0.5, 0.25]], dtype="<f4")
KEPT = ScoredOutputs(1, "pi", "fp32", 3, 2, VALUES.tobytes(), ((1, 2),), None)
LABELS = np.array([1, 1, 0, 9])
"""Of the whole data set: outputs of the first three were kept."""


def said(folder: Path, program: str, seconds: float = 30.0, memory_mb: int = 2000) -> dict[str, object]:
    file = folder / "mine.py"
    file.write_text(program)
    return dict(ask(UserMetric(file, seconds, memory_mb * 1_000_000), KEPT, LABELS))


def test_a_metric_sees_outputs_and_labels_and_says_a_number_for_each_input(tmp_path: Path) -> None:
    program = """
print("progress is no answer")
def metric(outputs, labels):
    assert outputs.shape == (3, 2) and outputs.dtype == "float32", outputs
    assert labels.tolist() == [1, 1, 0]
    return outputs.argmax(1) == labels
"""
    assert said(tmp_path, program) == {"value": pytest.approx(2 / 3), "by_input": [1.0, 0.0, 1.0]}


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("def metric(o, l):\n  return float('nan')", "it said nan"),
        ("def metric(o, l): pass", "its metric returned nothing"),
        ("def metric(o, l):\n  return [1, 2]", "it said [2] values for 3 inputs; one number, or one for each"),
        ("def metric(o, l):\n  raise SystemExit('no\\nmore')", "SystemExit: no"),
        ("def metrics(o, l): pass", "it has no function `metric(outputs, labels)`"),
        ("def metric(o, l):\n  return len(bytearray(10**10))", "it takes more memory than it may"),
        ("def metric(o, l):\n  open('x', 'wb', 0).write(b'x')", "OSError: [Errno 27] File too large"),
        ("import os\ndef metric(o, l):\n  os._exit(3)", "it ended by exit code 3 without an answer"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, program: str, error: str) -> None:
    assert said(tmp_path, program) == {"error": error}


def test_a_metric_that_never_ends_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = """
import os, signal
def metric(outputs, labels):
    if os.fork():
        signal.pause()
    signal.pause()
"""
    assert said(tmp_path, program, seconds=1.5) == {"error": "it took more than 1.5 s"}


def test_labels_are_there_or_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "with.npz", x=VALUES, y=LABELS)
    np.savez(tmp_path / "without.npz", x=VALUES)
    labels = read_labels(tmp_path / "with.npz")
    assert labels is not None
    assert labels.tolist() == LABELS.tolist()
    assert read_labels(tmp_path / "without.npz") is None
