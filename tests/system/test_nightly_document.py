"""docs/nightly.md, followed to the letter in a lab of its own: first night, first regression, and what ends it."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator.domain.bisection import Replaces, steps_expected
from orchestrator.domain.errors import ExitCode
from orchestrator.services.bisect.candidates import read_candidates
from orchestrator.specs.runtime import parse_runtime
from tests.lab import REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(900)]

PAGE = (REPOSITORY / "docs" / "nightly.md").read_text(encoding="utf-8")
SPELT = {7: "seven", 8: "eight", 9: "nine"}
REGRESSED = {"nightly run nightly.yaml --again", "nightly show last --html night.html"}
"""What exits with 1, for the night did."""
ALTERNATIVES = {"regressions invalid 1 --reason 'the fan was blocked'"}
"""What is refused here, since another decision about the regression was taken before."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return every command of the page in its order: lines of four blanks, and words between backticks."""
    outside = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^    benchfleet (.+)$|`benchfleet ([^`…]+)`", outside, re.MULTILINE)
    return [line or span for line, span in found]


def test_the_page_leads_from_the_first_night_to_the_first_regression(tmp_path: Path) -> None:
    asked = commands()
    assert len(asked) >= 14
    outer = Lab(tmp_path)
    init, *rest = asked
    assert outer.run(*shlex.split(init)).returncode == ExitCode.FINE
    lab = Lab(tmp_path / "lab")
    shorten(tmp_path / "lab")
    nightly = tmp_path / "lab" / "nightly.yaml"
    (declared, candidate, *_) = blocks("yaml")
    assert yaml.safe_load(nightly.read_text()) == yaml.safe_load(declared)
    builds, _versions = blocks("text")
    (tmp_path / "lab" / "builds.txt").write_text(builds)
    for command in rest:
        if command in REGRESSED and candidate not in nightly.read_text():
            nightly.write_text(nightly.read_text() + candidate)
        done = lab.run(*shlex.split(command), timeout_s=600)
        expected = ExitCode.FINE
        if command in REGRESSED:
            expected = ExitCode.REGRESSION
        elif command in ALTERNATIVES:
            expected = ExitCode.USAGE
        assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    page = (tmp_path / "lab" / "night.html").read_text(encoding="utf-8")
    assert "✗ confirmed" in page
    assert "<svg" in page
    assert list((tmp_path / "lab" / "reports").glob("digits-*.html"))


def test_the_list_of_versions_is_one_that_bisect_reads(tmp_path: Path) -> None:
    _builds, versions = blocks("text")
    (tmp_path / "versions.txt").write_text(versions)
    found = read_candidates(tmp_path / "versions.txt", parse_runtime("tflite-runtime==2.14.0"), None)
    assert found.replaces is Replaces.RUNTIME
    assert len(found.candidates) == 3
    assert f"two for these three, {SPELT[steps_expected(100)]} for a hundred" in PAGE
    assert steps_expected(3) == 2


def shorten(folder: Path) -> None:
    """Leave two cells of the quickstart: the page is about nights, and the others take minutes."""
    sweep = folder / "sweeps" / "quickstart.yaml"
    text = re.sub(r"^variants: .*$", "variants: [fp32, fp16]", sweep.read_text(), flags=re.MULTILINE)
    sweep.write_text(re.sub(r"^runtimes: .*$", "runtimes: [tflite-runtime==2.14.0]", text, flags=re.MULTILINE))
    # Other tests use this machine meanwhile, and their load would make trials of an exclusive device invalid.
    inventory = folder / "inventory" / "local.yaml"
    inventory.write_text(inventory.read_text().replace("{transport: local,", "{transport: local, exclusive: false,"))
    assert "exclusive: false" in inventory.read_text()


def test_the_units_of_systemd_are_well_formed(tmp_path: Path) -> None:
    service, timer = blocks("ini")
    units = tmp_path / "units"
    units.mkdir()
    for name, text in (("benchfleet-nightly.service", service), ("benchfleet-nightly.timer", timer)):
        (units / name).write_text(text.replace("%h/benchfleet/bin/benchfleet", "/bin/true"))
        parser = configparser.ConfigParser(strict=True, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        assert "Unit" in parser
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", *map(str, sorted(units.iterdir()))],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_line_of_cron_runs_one_night_at_a_time_and_prints_nothing_of_a_clean_one(tmp_path: Path) -> None:
    (text,) = blocks("cron")
    (line,) = (one for one in text.splitlines() if not re.match(r"[A-Z]+=", one))
    minute, hour, day, month, weekday, command = line.split(None, 5)
    assert (minute, hour, day, month, weekday) == ("0", "22", "*", "*", "*")
    (tmp_path / "lab").mkdir()
    program = tmp_path / "benchfleet"
    for code, printed in ((0, ""), (1, "nightly run nightly.yaml\n")):
        program.write_text(f'#!/bin/sh\necho "$@"\nexit {code}\n')
        program.chmod(0o755)
        # Cron gives a command's lines to sh, with a percent sign as a line's end.
        assert "%" not in command
        done = subprocess.run(
            ["sh", "-c", command],
            env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (printed, "")


def test_the_workflow_is_yaml_and_shows_the_night_even_after_a_regression() -> None:
    (*_, workflow) = blocks("yaml")
    steps = yaml.safe_load(workflow)["jobs"]["night"]["steps"]
    (summary,) = (step for step in steps if step.get("name") == "summary")
    assert summary["if"] == "always()"
    assert "--format markdown" in summary["run"]
