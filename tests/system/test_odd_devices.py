"""Devices as other people's are: processors kept from the login, homes mounted noexec, locales without our letters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disks
from tests.lab import Lab
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

AFFINITY = """\
import json, os
print(json.dumps({"metric": "cpu_first", "value": min(os.sched_getaffinity(0))}))
print(json.dumps({"metric": "latency_ns", "samples": [1000, 1100, 1200]}))
print(json.dumps({"done": True}))
"""
OWN = sorted(os.sched_getaffinity(0))


def lab_of(directory: Path, server: SshServer) -> Lab:
    lab = Lab(directory)
    lab.trust(server)
    lab.add_ssh("board", server, exclusive=False, allow=["cpus"])
    return lab


@pytest.mark.skipif(len(OWN) < 2 or shutil.which("taskset") is None, reason="takes two processors and taskset")
@pytest.mark.parametrize("login", OWN[:2])
def test_cpus_are_numbers_of_the_kernel_and_isolated_ones_are_pinned_to(tmp_path: Path, login: int) -> None:
    """An sshd that is started by taskset does to logins what isolcpus= does."""
    prefix = ["taskset", "-c", str(login)]
    with SshServer(tmp_path / "sshd", environment=NO_STARTUP_FILES, prefix=prefix) as server:
        lab = lab_of(tmp_path / "lab", server)
        program = {"name": "affinity", "command": [sys.executable, "affinity.py"], "files": ["affinity.py"]}
        cpus = [str(OWN[0]), str(OWN[1]), "4000"]
        sweep = lab.write_exec_sweep(trials=1, matrix={"cpus": cpus}, runtimes=[{"exec": program}])
        lab.write("affinity.py", AFFINITY)
        done = lab.run("run", str(sweep))
        planned = lab.run("plan", str(sweep))
    assert "cpus=4000: processor 4000 is not there" in " ".join(planned.stdout.split())
    found = lab.rows("SELECT settings, value FROM v_latest WHERE metric = 'cpu_first' ORDER BY value")
    assert [row["value"] for row in found] == [float(cpu) for cpu in OWN[:2]], done.stderr


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with SshServer(tmp_path_factory.mktemp("sshd"), environment=NO_STARTUP_FILES) as started:
        yield started


def test_a_home_that_is_mounted_noexec_is_a_finding_before_the_run(tmp_path: Path, server: SshServer) -> None:
    lab = lab_of(tmp_path, server)
    with disks.mounted(lab.state_dir("board"), 256 << 20) as disk:
        subprocess.run(["mount", "-o", "remount,noexec", str(disk)], check=True)
        (probed,) = lab.json("devices", "probe")
        (found,) = [one for one in probed["concerns"] if "noexec" in one["message"]]
        assert found["message"] == (
            f"{disk} is on a file system mounted noexec: no bundle and no program of a sweep can run there"
        )
        assert "state_dir" in found["hint"]
        sent = {"exec": {"name": "sent", "command": ["mine.sh"], "files": ["mine.sh"]}}
        lab.write("mine.sh", "#!/bin/sh\n")
        sweep = lab.write_exec_sweep(trials=1, runtimes=[sent])
        done = lab.run("plan", str(sweep))
    assert "is mounted noexec, and no program that is sent runs there" in " ".join(done.stdout.split())


def latin1_locale(folder: Path) -> dict[str, str]:
    """Make a locale of Latin-1, or skip where the machine has not what it is made of."""
    localedef = shutil.which("localedef")
    if localedef is None or not Path("/usr/share/i18n/charmaps").exists():
        pytest.skip("no localedef, or no charmaps: apt-get install locales")
    command = [localedef, "-i", "de_DE", "-f", "ISO-8859-1", str(folder / "de_DE.ISO-8859-1")]
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    if not (folder / "de_DE.ISO-8859-1").exists():
        pytest.skip("localedef made no locale of Latin-1")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}


NAME = "größe-モデル"
ECHO = """\
import json, os, sys
assert os.fsencode(os.environ["BENCHFLEET_MODEL"]).endswith(".tflite".encode()), os.environ["BENCHFLEET_MODEL"]
print(json.dumps({"metric": "latency_ns", "samples": [1000, 1100, 1200]}))
print(json.dumps({"done": True}))
"""


def test_names_of_files_pass_a_locale_that_lacks_their_letters(tmp_path: Path) -> None:
    locale = latin1_locale(tmp_path)
    with SshServer(tmp_path / "sshd", environment={**NO_STARTUP_FILES, **locale}) as server:
        lab = lab_of(tmp_path / "lab", server)
        lab.write(f"{NAME}.py", ECHO)
        program = {"name": "mine", "command": [sys.executable, f"{NAME}.py"], "files": [f"{NAME}.py"]}
        done = lab.run("run", str(lab.write_exec_sweep(trials=2, runtimes=[{"exec": program}])))
    assert done.returncode == 0, done.stderr
    assert lab.counts("board") == [1, 1]


@pytest.mark.skipif(len(OWN) < 2, reason="takes two processors")
def test_fast_and_slow_processors_are_told_by_probe_and_plan(tmp_path: Path) -> None:
    """The kernel's tree is a hybrid part's, with a third processor offline; the affinity is this machine's own."""
    first, second = OWN[:2]
    cpus = "sys/devices/system/cpu"
    tree = {
        f"{cpus}/present": f"{first},{second},900\n",
        f"{cpus}/online": f"{first},{second}\n",
        "sys/devices/cpu_core/cpus": f"{second}\n",
        "sys/devices/cpu_atom/cpus": f"{first}\n",
        f"{cpus}/cpu{first}/cpufreq/cpuinfo_max_freq": "3800000\n",
        f"{cpus}/cpu{second}/cpufreq/cpuinfo_max_freq": "5100000\n",
        f"{cpus}/cpu900/online": "0\n",
    }
    for name, content in tree.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(content)
    environment = {**NO_STARTUP_FILES, "BENCHFLEET_SYSFS_ROOT": str(tmp_path / "root")}
    with SshServer(tmp_path / "sshd", environment=environment) as server:
        lab = lab_of(tmp_path / "lab", server)
        (probed,) = lab.json("devices", "probe")
        shown = lab.run("devices", "probe")
        sweep = lab.write_exec_sweep(trials=1, matrix={"cpus": [str(first), f"{first},{second}", "900"]})
        pinned = lab.json("plan", str(sweep))
        free = lab.run("plan", str(lab.write_exec_sweep(trials=1, matrix={})))
    kinds = f"fast {second} (up to 5100 MHz), slow {first} (up to 3800 MHz)"
    assert [one["cpus"] for one in probed["facts"]["cpu_kinds"]] == [str(second), str(first)]
    assert f"board: processors: {kinds}" in " ".join(shown.stdout.split())
    (plan,) = pinned["plans"]
    assert plan["mixed"] == [f"cells of cpus={first},{second} run on processors of several kinds: {kinds}"]
    assert "processor 900 is offline" in plan["excluded"][0]["reason"]
    said = f"board: cells without cpus run on processors of either kind, as its kernel likes: {kinds}; pin them by cpus"
    assert said in " ".join(free.stdout.split()), free.stderr
