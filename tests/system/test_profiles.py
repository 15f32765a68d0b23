"""Operators of a real model on real runtimes, as a user asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(400)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("local")
    return made


def test_operators_are_rows_tables_and_json_and_their_trials_count_for_nothing(lab: Lab) -> None:
    sweep = {
        "sweep": "profiled",
        "model": str(REPOSITORY / "models" / "digits"),
        "variants": ["fp32"],
        "runtimes": ["onnxruntime==1.20.1", "tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"],
        "matrix": {"threads": [1]},
        "trials": 2,
        "measure": {"runs_min": 20, "seconds_min": 0.05},
        "profile": "operators",
    }
    lab.write("sweep.yaml", json.dumps(sweep))
    done = lab.run("run", "sweep.yaml", timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stderr
    assert lab.counts("local") == [1] * 6

    (profile,) = lab.json("runs", "profile", "last", "--cell", "runtime=onnxruntime*")
    assert profile["reason"] is None
    assert profile["placed"] == {"CPUExecutionProvider": len(profile["operators"])}
    assert sum(one["share"] for one in profile["operators"]) == pytest.approx(1)
    stored = lab.rows("SELECT count(*) AS operators, count(DISTINCT attempt_id) AS cells FROM operator_profile")
    (other,) = lab.json("runs", "profile", "last", "--cell", "runtime=tflite*")
    assert stored == [{"operators": len(profile["operators"]) + len(other["operators"]), "cells": 2}]

    both = lab.run("runs", "profile", "last", "--cell", "variant=fp32")
    assert both.returncode == ExitCode.FINE, both.stderr
    assert "operators: " in both.stdout
    assert "no profile: " in both.stdout

    pair = lab.json("runs", "profile", "last", "--cell", "runtime=onnxruntime*", "--against", "runtime=onnxruntime*")
    assert {one["ratio"] for one in pair["kinds"]} <= {1.0, None}
    without = lab.run("runs", "profile", "last", "--cell", "runtime=onnxruntime*", "--against", "runtime=ai-edge*")
    assert without.returncode == ExitCode.USAGE, without.stdout
    assert "profiler" in without.stderr
    assert lab.rows("SELECT DISTINCT kind FROM v_latest WHERE metric = 'latency_ns'") == [{"kind": "measure"}]


def test_a_run_without_profiles_says_how_to_ask(lab: Lab) -> None:
    assert lab.run("run", str(lab.write_exec_sweep(trials=1))).returncode == ExitCode.FINE
    done = lab.run("runs", "profile", "last", "--cell", "variant=fp32")
    assert done.returncode == ExitCode.USAGE
    assert "profile: operators" in done.stderr
