"""Facts and conditions, replayed from the trees of boards."""

import os
import sys
import time

import pytest

from device_worker.sensing import readings
from device_worker.sensing.conditions.table import CONDITIONS, ConditionWatch
from device_worker.sensing.conditions.temperature import read_temperature_c
from device_worker.sensing.conditions.throttling import Throttling
from device_worker.serving import facts
from fixture_trees import (
    DESKTOP,
    JETSON_NANO,
    RASPBERRY_PI_3_32_BIT,
    RASPBERRY_PI_4,
    write_file,
    write_program,
    write_tree,
)

KEYS = {
    "unknown",
    "conditions_untold",
    "discarded",
    "hostname",
    "machine",
    "kernel",
    "os_id",
    "os_version",
    "libc_name",
    "libc_version",
    "python",
    "python_path",
    "cpu_model",
    "cpu_count",
    "cpu_count_online",
    "load_1m",
    "cpus_present",
    "cpus_online",
    "cpus_allowed",
    "cpus_usable",
    "cpu_kinds",
    "cpu_mhz_max",
    "governor",
    "memory_bytes",
    "board_model",
    "temperature_c",
    "throttled",
    "disk_free_bytes",
    "boot_id",
    "state_dir",
    "unix_ns",
    "gpus",
    "accelerators",
    "libraries",
    "system_runtimes",
    "login_kills_processes",
    "power_sources",
    "health",
}


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """A function that lets a tree stand for "/"."""

    def replay_tree(tree):
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "root", tree))
        return tmp_path / "root"

    return replay_tree


def collect(tmp_path):
    found = facts.collect_facts(str(tmp_path))
    assert set(found) == KEYS
    return found


def test_a_raspberry_pi_4(replay, tmp_path):
    replay(RASPBERRY_PI_4)
    found = collect(tmp_path)
    expected = {
        "os_id": "raspbian",
        "os_version": "11",
        "cpu_model": "Raspberry Pi 4 Model B Rev 1.4",
        "board_model": "Raspberry Pi 4 Model B Rev 1.4",
        "cpu_mhz_max": 1800.0,
        "governor": "ondemand",
        "memory_bytes": 3884360 * 1024,
        "temperature_c": 48.686,
        "throttled": False,
        "gpus": None,
        "login_kills_processes": False,
    }
    assert {key: found[key] for key in expected} == expected


def test_a_32_bit_pi_is_named_by_its_board_not_by_its_core(replay, tmp_path):
    replay(RASPBERRY_PI_3_32_BIT)
    found = collect(tmp_path)
    assert found["cpu_model"] == "Raspberry Pi 3 Model B Plus Rev 1.3"
    assert (found["memory_bytes"], found["governor"], found["cpu_mhz_max"]) == (None, None, None)
    assert found["throttled"] is None


@pytest.mark.parametrize(
    ("kernel", "pointer_bytes", "machine"),
    [
        ("aarch64", 4, "armv7l"),
        ("armv8l", 4, "armv7l"),
        ("x86_64", 4, "i686"),
        ("aarch64", 8, "aarch64"),
        ("x86_64", 8, "x86_64"),
        ("armv6l", 4, "armv6l"),
        ("riscv64", 8, "riscv64"),
    ],
)
def test_the_machine_is_that_of_the_programs_not_of_the_kernel(tmp_path, monkeypatch, kernel, pointer_bytes, machine):
    system = os.uname()
    uname = os.uname_result((system.sysname, system.nodename, system.release, system.version, kernel))
    monkeypatch.setattr(facts.os, "uname", lambda: uname)
    monkeypatch.setattr(facts, "_pointer_bytes", lambda: pointer_bytes)
    assert collect(tmp_path)["machine"] == machine


def test_a_jetson_is_as_hot_as_its_cpu_and_not_as_its_constant_zones(replay, tmp_path):
    replay(JETSON_NANO)
    assert collect(tmp_path)["temperature_c"] == 31.5


def test_a_desktop_whose_cpus_differ(replay, tmp_path):
    root = replay(DESKTOP)
    write_program(root, "usr/bin/nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'\n")
    found = collect(tmp_path)
    assert found["cpu_model"] == "AMD Ryzen 9 5950X 16-Core Processor"
    assert found["board_model"] == "MS-7C35"
    assert found["governor"] == "performance,powersave"
    assert found["cpu_mhz_max"] == 5083.398
    assert found["temperature_c"] == 47.25
    assert found["gpus"] == ["NVIDIA H100 80GB HBM3"]
    assert found["login_kills_processes"] is None
    assert readings.read_cpu_mhz() == 3400.0


def test_a_device_that_says_nothing_has_nulls(replay, tmp_path):
    replay({})
    found = collect(tmp_path)
    always = {"hostname", "machine", "kernel", "libc_name", "libc_version", "python", "python_path", "cpu_count"}
    always |= {"cpu_count_online"}
    always |= {
        "disk_free_bytes",
        "boot_id",
        "state_dir",
        "unix_ns",
        "system_runtimes",
        "power_sources",
        "health",
        "unknown",
        "conditions_untold",
        "discarded",
        "cpus_allowed",
        "cpus_usable",
        "accelerators",
    }
    assert {key for key, value in found.items() if value is None} == KEYS - always
    before = ConditionWatch({}).read()
    assert {key for key, value in before.items() if value is not None} == {"clock_unix_ns", "unknown"}
    assert set(before["unknown"]) == {kind.reading for kind in CONDITIONS if not kind.is_of_trial}
    assert all(before["unknown"].values())


def test_accelerators_and_their_libraries_are_found_where_the_system_shows_them(replay, tmp_path):
    root = replay(
        {
            "dev/nvidia0": "",
            "dev/nvidiactl": "",
            "dev/apex_0": "",
            "sys/bus/usb/devices/1-1/idVendor": "18d1\n",
            "sys/bus/usb/devices/1-1/idProduct": "9302\n",
            "sys/bus/usb/devices/1-2/idVendor": "1d6b\n",
            "sys/bus/usb/devices/1-2/idProduct": "0002\n",
        }
    )
    listed = "2 libs found in cache\n\tlibcuda.so.1 (libc6,x86-64) => /lib/libcuda.so.1\n\tlibc.so.6 (libc6) => /l\n"
    write_program(root, "sbin/ldconfig", f"#!/bin/sh\n[ \"$1\" = -p ] && printf '%s' '{listed}'\n")
    found = collect(tmp_path)
    assert found["accelerators"] == {"nvidia": ["/dev/nvidia0"], "edgetpu": ["/dev/apex_0", "/sys/bus/usb/devices/1-1"]}
    assert found["libraries"] == ["libcuda.so.1"]


def test_a_device_without_accelerators_says_so(replay, tmp_path):
    replay({})
    assert collect(tmp_path)["accelerators"] == {"nvidia": [], "edgetpu": []}


@pytest.mark.parametrize("content", ["", "\n", "n/a\n", "-274000\n", "999999\n"])
def test_a_sensor_that_says_nonsense_is_not_believed(replay, content):
    replay(dict(RASPBERRY_PI_4, **{"sys/class/thermal/thermal_zone0/temp": content}))
    assert read_temperature_c() is None


def test_a_program_that_hangs_or_fails_says_nothing(replay, tmp_path):
    root = replay(DESKTOP)
    write_program(root, "usr/bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert collect(tmp_path)["gpus"] is None


def test_throttle_bits_of_a_pi_mean_now_or_since_the_last_look(replay):
    root = replay(RASPBERRY_PI_4)
    name = "sys/devices/platform/soc/soc:firmware/get_throttled"
    sensor = Throttling()
    readings = []
    for bits in ("50000", "50000", "50005", "50000", "70000", "70000"):
        write_file(root, name, bits + "\n")
        readings.append(sensor.read())
    assert readings == [False, False, True, False, True, False]


def test_a_pi_without_the_file_is_asked_by_its_program(replay):
    root = replay(RASPBERRY_PI_3_32_BIT)
    write_program(root, "opt/vc/bin/vcgencmd", '#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50004\n')
    assert Throttling().read() is True


def test_throttle_counters_are_compared_with_the_last_look(replay):
    root = replay(DESKTOP)
    sensor = Throttling()
    assert sensor.read() is None
    assert sensor.read() is False
    write_file(root, "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "1\n")
    assert sensor.read() is True
    assert sensor.read() is False


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, True),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, True),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses = no\n"}, False),
        (
            {
                "etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=no\n",
                "etc/systemd/logind.conf.d/50-lab.conf": "[Login]\nKillUserProcesses=1\n",
            },
            True,
        ),
        ({}, None),
    ],
)
def test_whether_a_logout_kills_the_runner(replay, monkeypatch, tmp_path, files, kills):
    replay(files)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert collect(tmp_path)["login_kills_processes"] is kills


def test_a_logout_spares_root(replay, monkeypatch, tmp_path):
    replay({"etc/systemd/logind.conf": "KillUserProcesses=yes\n"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert collect(tmp_path)["login_kills_processes"] is False


def test_system_runtimes_are_found_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "site" / "tflite_runtime"
    package.mkdir(parents=True)
    for name in ("__init__", "interpreter"):
        (package / (name + ".py")).write_text("raise SystemExit('imported')")
    (tmp_path / "site" / "ai_edge_litert").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    assert facts.is_importable("tflite_runtime.interpreter")
    assert not facts.is_importable("ai_edge_litert.interpreter")
    assert not facts.is_importable("tensorflow.lite")
    assert "tflite_runtime" not in sys.modules


def test_facts_are_cheap(tmp_path):
    begin = time.process_time()
    for _ in range(5):
        collect(tmp_path)
    assert (time.process_time() - begin) / 5 < 0.03
