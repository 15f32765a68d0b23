"""NVIDIA GPUs by a small library with the driver's functions, built here, and seen by NVIDIA's own binding alike."""

import ctypes
import os
import shutil
import subprocess

import pytest

from device_worker.protocol.vocabulary import SourceKind
from device_worker.runner.runner_process import watch_gpu
from device_worker.sensing import power
from device_worker.sensing.conditions.gpu_throttling import GpuThrottling
from device_worker.sensing.power import nvml
from device_worker.sensing.power.base import Lost, Unreadable
from device_worker.sensing.power.sampler import Sampler
from device_worker.system.patient_reader import PatientReader
from fixture_trees import write_file
from worker_client import wait_until

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

LIBRARY = """
#include <string.h>
static struct { int gpus, has_energy, status, major; unsigned long long energy_mj; unsigned power_mw; int inits; } gpu
    = {1, 1, 0, 9, 5000, 70000, 0};
void fake_set(int gpus, int has_energy, int status, int major, unsigned long long energy_mj, unsigned power_mw)
{ gpu.gpus = gpus; gpu.has_energy = has_energy; gpu.status = status; gpu.major = major; gpu.energy_mj = energy_mj;
  gpu.power_mw = power_mw; }
int fake_inits(void) { return gpu.inits; }
int nvmlInit_v2(void) { gpu.inits++; return gpu.status; }
int nvmlInitWithFlags(unsigned flags) { gpu.inits++; return gpu.status; }
int nvmlShutdown(void) { gpu.inits--; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = gpu.gpus; return gpu.status; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{ *handle = (void *) (unsigned long) (0x1000 + index); return gpu.status; }
int nvmlDeviceGetName(void *handle, char *name, unsigned length)
{ strncpy(name, "NVIDIA Fake 1", length); return gpu.status; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor)
{ *major = gpu.major; *minor = 0; return gpu.status; }
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *energy_mj)
{ *energy_mj = gpu.energy_mj; return gpu.status ? gpu.status : gpu.has_energy ? 0 : 3; }
static unsigned long long reasons = 1, violation_ns = 0;
void fake_clocks(unsigned long long bits, unsigned long long ns) { reasons = bits; violation_ns = ns; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *bits)
{ *bits = reasons; return gpu.status; }
int nvmlDeviceGetViolationStatus(void *handle, unsigned policy, unsigned long long *times)
{ times[0] = 7; times[1] = violation_ns; return policy == 1 ? violation_ns == 99 ? 3 : gpu.status : 2; }
int nvmlDeviceGetPowerUsage(void *handle, unsigned *power_mw) { *power_mw = gpu.power_mw; return gpu.status; }
"""
FOLDER = "usr/lib/x86_64-linux-gnu"
NO_PERMISSION, NOT_LOADED = 4, 9


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY)
    path = str(folder / "libnvidia-ml.so.1")
    subprocess.check_call([COMPILER, "-shared", "-fPIC", "-o", path, str(folder / "nvml.c")])
    return path


class Driver:
    """The fake driver. Its state is that of the library in this process."""

    def __init__(self, path):
        self.path = path
        self.library = ctypes.CDLL(path)
        self.state = {"gpus": 1, "has_energy": 1, "status": 0, "major": 9, "energy_mj": 5000, "power_mw": 70000}

    def set(self, **state):
        self.state.update(state)
        values = self.state
        self.library.fake_set(
            values["gpus"], values["has_energy"], values["status"], values["major"],
            ctypes.c_ulonglong(values["energy_mj"]), ctypes.c_uint(values["power_mw"]),
        )  # fmt: skip


@pytest.fixture
def driver(built, tmp_path, monkeypatch):
    os.makedirs(str(tmp_path / FOLDER))
    path = str(tmp_path / FOLDER / "libnvidia-ml.so.1")
    shutil.copy(built, path)  # a library of each test's own, since a library is loaded once by its file
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    return Driver(path)


def test_a_gpu_with_a_counter_is_read_by_its_counter(driver):
    source = power.open_source()
    assert (source.name, source.kind, source.read()) == ("nvml NVIDIA Fake 1", SourceKind.ENERGY_COUNTER, 5000000)
    driver.set(energy_mj=5123)
    assert source.read() == 5123000


@pytest.mark.parametrize(("major", "period_s", "is_mean"), [(9, 1.0, True), (8, 1.0, True), (6, 0.1, False)])
def test_a_gpu_without_a_counter_is_read_by_its_power(driver, major, period_s, is_mean):
    driver.set(has_energy=0, major=major)
    source = nvml.open_source()
    assert (source.kind, source.read()) == (SourceKind.POWER_GAUGE, 70000000)
    assert (source.period_s, source.is_mean) == (period_s, is_mean)


def test_all_gpus_are_added_up(driver):
    driver.set(gpus=2)
    source = nvml.open_source()
    assert (source.name, source.read()) == ("nvml 2 x NVIDIA Fake 1", 10000000)


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(nvml, "_watched", None)  # given back at the end: a runner watches one GPU for its life
    return nvml.watch_only


def test_the_gpu_that_trials_see_is_read_alone(driver, watched):
    driver.set(gpus=3)
    watched(2)
    assert [handle.value for handle in nvml.Library(driver.path).devices()] == [0x1002]
    source = nvml.open_source()
    assert (source.name, source.read()) == ("nvml NVIDIA Fake 1", 5000000)
    watched(3)
    with pytest.raises(Unreadable, match="there is no GPU 3: the driver has 3"):
        nvml.open_source()


@pytest.mark.parametrize(
    ("environment", "handles"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [0x1001]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [0x1000, 0x1001]),  # CUDA's own order: nobody knows which GPU that is
        ({"CUDA_VISIBLE_DEVICES": None, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [0x1000, 0x1001]),
        ({}, [0x1000, 0x1001]),
    ],
)
def test_a_runner_watches_the_gpu_that_the_inventory_has_chosen(driver, watched, environment, handles):
    driver.set(gpus=2)
    watch_gpu(environment)
    assert [handle.value for handle in nvml.Library(driver.path).devices()] == handles


def test_a_counter_that_jumped_back_is_lost(driver):
    source = nvml.open_source()
    source.read()
    driver.set(energy_mj=17)
    with pytest.raises(Lost, match="jumped back from 5000000 to 17000 microjoules"):
        source.read()


def test_a_driver_that_refuses_says_why(driver):
    source = nvml.open_source()
    driver.set(status=NO_PERMISSION)
    with pytest.raises(Lost, match="nvmlDeviceGetTotalEnergyConsumption: no permission"):
        source.read()
    driver.set(status=NOT_LOADED)
    with pytest.raises(Unreadable, match="nvmlInit_v2: the driver is not loaded"):
        nvml.open_source()


def test_a_device_without_a_gpu_or_driver_has_no_source(driver):
    driver.set(gpus=0)
    assert nvml.open_source() is None
    os.unlink(driver.path)
    assert nvml.open_source() is None


def test_a_library_that_is_none_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    write_file(tmp_path, f"{FOLDER}/libnvidia-ml.so.1", "no library")
    with pytest.raises(Unreadable, match="libnvidia-ml"):
        nvml.open_source()


def test_each_thread_that_reads_begins_anew(driver):
    """A thread of the runner has a table of open files of its own, and the driver's files are not in it."""
    source = nvml.open_source()
    sampler = Sampler(source, PatientReader(in_runner=True))
    sampler.begin()
    wait_until(lambda: len(sampler.trace) >= 3)
    sampler.end()
    assert sampler.trace.lost is None
    assert set(sampler.trace.values) == {5000000}
    assert driver.library.fake_inits() == 1, "each beginning has ended the one before"


def test_nvidias_own_binding_reads_the_same(driver, monkeypatch):
    pynvml = pytest.importorskip("pynvml")
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(driver.path))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    source = nvml.open_source()
    driver.set(energy_mj=987654321012, power_mw=123456)
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 1
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    name = pynvml.nvmlDeviceGetName(handle)
    assert f"nvml {name if isinstance(name, str) else name.decode()}" == source.name
    assert pynvml.nvmlDeviceGetCudaComputeCapability(handle) == (9, 0)
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) * 1000 == source.read()
    driver.set(has_energy=0)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    assert pynvml.nvmlDeviceGetPowerUsage(handle) * 1000 == nvml.open_source().read()


@pytest.fixture
def clocks(driver):
    def set_clocks(bits, violation_ns=0):
        driver.library.fake_clocks(ctypes.c_ulonglong(bits), ctypes.c_ulonglong(violation_ns))

    return set_clocks


@pytest.mark.parametrize("bit", [0x08, 0x20, 0x40, 0x80])
def test_a_gpu_held_back_by_heat_or_supply_spoils_a_trial(clocks, bit):
    condition = GpuThrottling()
    clocks(0x1)
    before = condition.read()
    clocks(0x4 | bit)
    after = condition.read()
    assert (before, after, condition.is_breached(before, after, None)) == (False, True, True)


def test_a_gpu_at_its_power_cap_or_idle_is_not_held_back(clocks):
    condition = GpuThrottling()
    for bits in (0x0, 0x1, 0x2, 0x4):
        clocks(bits)
        assert condition.read() is False


def test_heat_between_two_readings_is_seen_by_the_time_that_the_driver_counts(clocks):
    condition = GpuThrottling()
    clocks(0x1, 50)
    assert condition.read() is False, "before the first reading may be hours ago"
    clocks(0x1, 60)
    assert condition.read() is True
    assert condition.read() is False
    clocks(0x1, 99)  # a GPU that counts none
    assert condition.read() is False


def test_a_device_without_a_gpu_cannot_tell(driver, clocks):
    driver.set(status=NOT_LOADED)
    condition = GpuThrottling()
    assert (condition.read(), condition.explain_unknown()) == (None, "nvmlInit_v2: the driver is not loaded")
    os.unlink(driver.path)
    assert GpuThrottling().cannot_tell() == "there is no NVIDIA driver"


def test_nvidias_own_binding_sees_the_same_reasons(driver, clocks, monkeypatch):
    pynvml = pytest.importorskip("pynvml")
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(driver.path))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    clocks(pynvml.nvmlClocksThrottleReasonSwThermalSlowdown, 1234)
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) == 0x20
    assert pynvml.nvmlDeviceGetViolationStatus(handle, pynvml.NVML_PERF_POLICY_THERMAL).violationTime == 1234
    assert nvml.open_clocks().read() == (True, 1234)
