"""The benchmark of real repeats judges what it measured as it says, and its programs and models are what they claim."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import sys
import time

import numpy as np
import pytest

from benchmarks import repeats
from benchmarks.real_lab import _DIGITS, _PROGRAM, _coarsened, _is_disturbed
from benchmarks.repeats import IDENTICAL, Trials, _changes, _identical, _noise
from orchestrator.domain.device import USUAL_LIMITS

pytestmark = pytest.mark.system  # no part of the quick loop


def rounds(shift: float = 0.0, number: int = 4, device_shift: float = 0.0) -> list[Trials]:
    """Return rounds of identical cells, besides with the standard deviation that each cell has, or all of a round."""
    random = np.random.default_rng(1)
    found: list[Trials] = []
    for _ in range(number):
        one = {}
        whole = random.normal(0, device_shift) if device_shift else 0.0
        for cell in IDENTICAL:
            level = whole + (random.normal(0, shift) if shift else 0.0)
            one[cell.name] = np.exp(random.normal(10 + level, 0.01, 5)).tolist()
        found.append(one)
    return found


def figures(found: list[Trials]) -> dict[str, float]:
    return {figure.name: figure.value for figure in _identical("identical", found)}


def test_identical_rounds_are_covered_and_shifted_ones_are_not() -> None:
    calm, shifted = figures(rounds()), figures(rounds(shift=0.03))
    assert calm["identical: comparisons"] == 6 * len(IDENTICAL)
    assert calm["identical: coverage of 95 % intervals"] > 90
    assert calm["identical: false verdicts per 1,000"] == 0
    assert shifted["identical: coverage of 95 % intervals"] < 60
    assert shifted["identical: false verdicts per 1,000"] > 50
    beside = "identical: false verdicts per 1,000, each as another build beside the rest"
    assert calm[beside] == 0
    assert shifted[beside] > 50, "cells that jump by themselves are no movement of the device"
    moved = figures(rounds(device_shift=0.1))
    assert moved["identical: false verdicts per 1,000"] > 500
    assert moved[beside] < 100


def test_the_noise_of_a_cell_is_the_variance_of_its_trials() -> None:
    found = rounds(number=12)
    noise = _noise(found)
    assert set(noise) == {cell.name for cell in IDENTICAL}
    assert statistics.median(noise.values()) == pytest.approx(1e-4, rel=0.3)


def test_ten_changes_are_injected_and_each_base_has_been_measured() -> None:
    found = rounds()
    changes = _changes(found)
    assert len({change.name for change in changes} | set(repeats._OUTPUTS)) == 10
    assert {change.base.name for change in changes} <= set(found[0])


@pytest.mark.parametrize(("slower_percent", "sample_ns"), [(0, 100_000), (3, 200_000), (300, 400_000)])
def test_a_wait_makes_each_sample_longer_by_its_share(
    slower_percent: int,
    sample_ns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A clock that counts its readings: the load of the machine cannot change what it says.
    clock = itertools.count(step=100_000)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(clock))
    monkeypatch.setenv("BENCHFLEET_SECONDS_MIN", "0.2")
    monkeypatch.setattr(sys, "argv", ["work.py", "0", str(slower_percent)])
    exec(_PROGRAM, {})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {"done": True}
    samples = next(line["samples"] for line in lines if line.get("metric") == "latency_ns")
    assert len(samples) > 100
    assert set(samples) == {sample_ns}


def test_a_coarse_model_differs_in_one_layer_alone() -> None:
    sound = (_DIGITS / "digits-int8.tflite").read_bytes()
    coarse = _coarsened(sound)
    differing = [place for place, (one, other) in enumerate(zip(sound, coarse, strict=True)) if one != other]
    assert 5524 <= min(differing) <= max(differing) < 5524 + 4096
    assert len(differing) > 3000


def test_an_attempt_is_disturbed_above_a_usual_limit_and_not_at_it() -> None:
    at_limit = {key.replace("_max", ""): limit for key, limit in USUAL_LIMITS.items()}
    assert not _is_disturbed(at_limit)
    assert not _is_disturbed(dict.fromkeys(at_limit))
    for reading, limit in at_limit.items():
        assert _is_disturbed({**at_limit, reading: math.nextafter(limit, math.inf)})
