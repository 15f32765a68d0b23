"""Sweeps run to results on boards with other processors, under user-mode emulation of aarch64 and armv7l."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, SHARED_CACHE, Lab
from tests.servers.foreign import ARM64, ARMHF, Foreign, foreign_python

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(600)]

ROOTS = SHARED_CACHE.parent / "foreign"


@pytest.mark.parametrize("foreign", [ARM64, ARMHF], ids=lambda one: one.machine)
def test_a_sweep_for_another_processor_runs_to_results(tmp_path: Path, foreign: Foreign) -> None:
    """The same wheels as on a Pi with Bookworm, executed instruction by instruction: right outputs, no real times."""
    lab = Lab(tmp_path)
    lab.add_local("board", python=str(foreign_python(foreign, ROOTS)))
    lab.add_local("here")
    options = ("--variants", "fp32,int8", "--runtimes", "tflite-runtime==2.14.0", "--trials", "1")
    short = ("--set", "measure.seconds_min=0.05", "--set", "measure.warmup.seconds_min=0.0")
    done = lab.run("run", str(REPOSITORY / "sweeps" / "quickstart.yaml"), *options, *short, timeout_s=500)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    told = {row["device"]: json.loads(row["facts"]) for row in lab.rows(FACTS)}
    assert (told["board"]["machine"], told["board"]["python"].rpartition(".")[0]) == (foreign.machine, "3.11")
    figures = {(row["device"], row["variant"]): row for row in lab.rows(FIGURES)}
    for variant in ("fp32", "int8"):
        assert figures["board", variant]["latency_ns"] > 0
        assert figures["board", variant]["accuracy"] == pytest.approx(figures["here", variant]["accuracy"], abs=0.003)
        assert figures["board", variant]["accuracy"] > 0.97


FACTS = "SELECT d.name AS device, s.facts FROM device_snapshot s JOIN device d ON d.id = s.device_id"
FIGURES = "SELECT device, variant, latency_ns, accuracy FROM v_pareto"
