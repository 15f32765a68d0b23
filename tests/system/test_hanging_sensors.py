"""A sensor that never answers, as the real command meets it: a FIFO that nobody writes stands for the sensor."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SENSOR = "sys/class/thermal/thermal_zone0"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A tree in which the one sensor of temperature hangs."""
    folder = tmp_path / "root" / SENSOR
    folder.mkdir(parents=True)
    (folder / "type").write_text("cpu-thermal\n")
    os.mkfifo(folder / "temp")
    yield tmp_path / "root"
    with suppress(OSError):  # nobody reads any more
        os.close(os.open(folder / "temp", os.O_WRONLY | os.O_NONBLOCK))


def test_probe_and_run_go_on_without_the_sensor_and_name_it(tmp_path: Path, root: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.add_local("here")
    environment = {"BENCHFLEET_SYSFS_ROOT": str(root)}
    probed = lab.run("devices", "probe", environment=environment)
    assert probed.returncode == 0, probed.stderr
    assert "here: temperature_c is unknown: no answer within 3 s" in " ".join(probed.stdout.split())
    lab.write_exec_sweep()
    done = lab.run("run", "sweep.yaml", environment=environment)
    assert done.returncode == 0, done.stderr
    assert lab.counts("here") == [1, 1, 1]
    found = [row["conditions_after"] for row in lab.rows("SELECT conditions_after FROM attempt")]
    read = [json.loads(conditions) if isinstance(conditions, str) else conditions for conditions in found]
    assert [conditions["temperature_c"] for conditions in read] == [None] * 3
    assert all("no answer within 3 s" in conditions["unknown"]["temperature_c"] for conditions in read)


def test_no_trial_counts_whose_limit_the_sensor_leaves_unjudged(tmp_path: Path, root: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.add_local("here", limits={"temperature_c_max": 60})
    lab.write_exec_sweep()
    done = lab.run("run", "sweep.yaml", environment={"BENCHFLEET_SYSFS_ROOT": str(root)})
    assert done.returncode == 3, done.stderr
    assert "invalid: temperature-unknown" in done.stderr
    assert lab.counts("here") == [0, 0, 0]
