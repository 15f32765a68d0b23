"""The commands of `make demo`, as its script has them: what a newcomer sees first is whole and true."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

VARIANTS = ["fp32", "fp16", "dynamic", "int8"]
RUNTIMES = {"ai-edge-litert==2.3.0"} | ({"tflite-runtime==2.14.0"} if sys.version_info < (3, 12) else set())
"""There is no wheel of tflite-runtime for Python 3.12 and later; the plan says so, and the demo goes on without it."""

TRIALS = 5


def commands_of_the_demo() -> list[list[str]]:
    recipe = (REPOSITORY / "scripts" / "demo").read_text()
    return [shlex.split(line) for line in re.findall(r"^show (.+) \|\|", recipe, re.MULTILINE)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A folder with what the demo finds in a checkout, and devices' state in a home of its own."""
    made = Lab(tmp_path)
    made.move_to_own_machine()
    for folder in ("inventory", "models", "sweeps"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    made.allow_other_load("inventory/local.yaml")
    return made


def test_a_demo_beside_other_work_compares_what_there_is_and_says_why_trials_are_missing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add_local("local", limits={"other_load_max_percent": 1})
    sweep = lab.write_exec_sweep(
        "sleep 0.3\n" + OK_PROGRAM, variants=["fp32", "int8"], trials=1, retries={"invalid": 0}
    )
    lab.write("sweeps/quickstart.yaml", sweep.read_text())
    shutil.copy(tmp_path / "sweep.sh", tmp_path / "sweeps")
    program = lab.write("benchfleet", f'#!/bin/sh\nexec {shlex.join(lab.argv())} "$@"\n')
    program.chmod(0o755)
    environment = {**lab.environment, "BENCHFLEET": str(program), "BENCHFLEET_DB": str(lab.database)}

    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other_work:
        try:
            demo = subprocess.run(
                [str(REPOSITORY / "scripts" / "demo")], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
        finally:
            other_work.kill()

    assert demo.returncode == 3, demo.stderr
    words = demo.stdout
    assert "local: 2 attempts broke a condition and do not count (2 other-load)" in words
    assert "hint: local was busy with other work: end that, and measure again what is missing" in words
    assert "$ benchfleet compare last --by variant --base fp32" in words
    assert words.endswith(f"{program} runs resume last --retry-failed\n")


@pytest.mark.network
def test_the_demo_measures_four_variants_and_compares_them(lab: Lab) -> None:
    run, compare = commands_of_the_demo()
    measured = lab.run(*run, timeout_s=540)
    assert measured.returncode == 0, measured.stderr

    table = lab.run(*compare)
    assert table.returncode == 0, table.stderr
    for runtime in RUNTIMES:
        group = table.stdout.partition(f"\nlocal · {runtime} · threads=1\n")[2].partition("\n\n")[0]
        lines = [line for line in group.splitlines() if not line.startswith(" ")]
        assert [line.split()[0] for line in lines] == VARIANTS
        base, *others = lines
        assert re.fullmatch(r"fp32 +5( +[\d.]+ [nµm]s){3} +[\d.]+ MB.* +40\.5 kB +0\.983", base)
        for line in others:
            assert re.fullmatch(r"\w+ +5( +×\d+\.\d+){5,} +[±+-]0\.\d+", line), line
        verdicts = [line.split() for line in group.splitlines() if line.startswith(" " * 10) and "smaller" in line]
        assert len(verdicts) == len(others)
        for words in verdicts:
            assert words[0] in {"faster", "slower", "same", "unsure", "noisy"}
            assert words[-1] in {"identical", "unsure", "worse", "better", "same"}

    comparison = lab.json(*compare)
    assert {group["fixed"]["runtime"] for group in comparison["groups"]} == RUNTIMES
    for group in comparison["groups"]:
        assert [group["base"]["at"], *(row["side"]["at"] for row in group["rows"])] == VARIANTS
        assert {group["base"]["trials"], *(row["side"]["trials"] for row in group["rows"])} == {TRIALS}
        for row in group["rows"]:
            assert row["ratio"]["low"] < row["ratio"]["value"] < row["ratio"]["high"]
            assert abs(row["accuracy_difference"]) < 0.05
            assert row["outputs"]["inputs"] == 64
        agreements = {row["side"]["at"]: row["outputs"]["agreement"] for row in group["rows"]}
        assert agreements["fp16"] == "agree"
