"""What is recorded around a trial without a limit: the busiest processes, swap and the clocks of clusters."""

from device_worker.sensing import busiest
from device_worker.sensing.busiest import Busiest
from device_worker.sensing.conditions.temperature import read_temperatures_c
from device_worker.sensing.readings import read_policies_mhz, read_swap_used_bytes
from fixture_trees import write_file


def stat(name, user, system, started="50"):
    return f"7 ({name}) S " + " ".join(["0"] * 10) + f" {user} {system} " + " ".join(["0"] * 6) + f" {started} 0 0\n"


def test_the_busiest_are_named_by_what_each_took_since_the_last_look(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    now = [100.0]
    monkeypatch.setattr(busiest.time, "monotonic", lambda: now[0])
    write_file(tmp_path, "proc/11/stat", stat("cc1 (x) plus", 5000, 0))
    write_file(tmp_path, "proc/12/stat", stat("old", 900000, 0))
    write_file(tmp_path, "proc/13/stat", "no process")
    look = Busiest()
    assert look.read() is None, "since when?"
    now[0] = 102.0
    write_file(tmp_path, "proc/11/stat", stat("cc1 (x) plus", 5100, 50))
    write_file(tmp_path, "proc/14/stat", stat("evil\x1b[31m", 20, 0))
    assert look.read() == [
        {"name": "cc1 (x) plus", "pid": 11, "cpu_percent": 75.0},
        {"name": "evil", "pid": 14, "cpu_percent": 10.0},
    ]
    now[0] = 103.0
    write_file(tmp_path, "proc/11/stat", stat("another", 60, 0, started="99"))
    assert look.read() == [{"name": "another", "pid": 11, "cpu_percent": 60.0}], "a number is used again"


def test_a_machine_that_names_no_processes_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    look = Busiest()
    assert [look.read(), look.read()] == [None, None]
    assert read_swap_used_bytes() is None


def test_swap_in_use_is_what_is_not_free(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    write_file(tmp_path, "proc/meminfo", "MemTotal: 9 kB\nSwapTotal:     100 kB\nSwapFree:       40 kB\n")
    assert read_swap_used_bytes() == 60 * 1024


def test_each_cluster_has_a_clock_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    assert read_policies_mhz() is None
    cpus = "sys/devices/system/cpu"
    for name, khz in (("policy0", 600000), ("policy4", 2400000), ("policy6", 0)):
        write_file(tmp_path, f"{cpus}/cpufreq/{name}/scaling_cur_freq", f"{khz}\n")
    assert read_policies_mhz() == {"policy0": 600.0, "policy4": 2400.0}


def test_a_kernel_without_policies_has_a_clock_for_each_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    write_file(tmp_path, "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "1800000\n")
    assert read_policies_mhz() == {"cpu1": 1800.0}


def test_every_sensor_tells_its_temperature_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    assert read_temperatures_c() is None
    thermal, chips = "sys/class/thermal/thermal_zone", "sys/class/hwmon/hwmon"
    for number, (kind, text) in enumerate(
        (("cpu-thermal", "48686"), ("gpu-thermal", "51000"), ("gpu-thermal", "52000"))
    ):
        write_file(tmp_path, f"{thermal}{number}/type", kind + "\n")
        write_file(tmp_path, f"{thermal}{number}/temp", text + "\n")
    for path, text in {
        "0/name": "nvme",
        "0/temp1_input": "38850",
        "0/temp1_label": "Composite",
        "1/name": "acpitz",
        "1/temp1_input": "-273150",
        "2/name": "lm75",
        "2/temp1_input": "27000",
        "2/temp2_input": "99000",
        "2/temp2_fault": "1",
    }.items():
        write_file(tmp_path, chips + path, text + "\n")
    assert read_temperatures_c() == {
        "cpu-thermal": 48.686,
        "gpu-thermal": 51.0,
        "gpu-thermal 2": 52.0,
        "nvme Composite": 38.85,
        "lm75 temp1": 27.0,
    }, "no sensor that is off, broken or absurd is among them"
