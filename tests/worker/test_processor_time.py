"""What the processors did between two readings, and whose work that was, on trees of /proc/stat and on this machine."""

import resource
import time

import pytest

from device_worker.sensing import processor_time
from device_worker.sensing.conditions.cpu_pressure import CpuPressure
from device_worker.sensing.conditions.cpu_steal import CpuSteal
from device_worker.sensing.conditions.other_load import OtherLoad
from device_worker.sensing.processor_time import ProcessorTime, read_processor_time
from fixture_trees import stat_file, write_file, write_tree

STAT = "proc/stat"
PRESSURE = "proc/pressure/cpu"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A tree that stands for "/", of a machine with two processors."""
    folder = write_tree(tmp_path / "root", {STAT: stat_file()})
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", folder)
    return tmp_path / "root"


@pytest.fixture
def own(monkeypatch):
    """The ticks of the runner and its trials, a list of one number to alter."""
    ticks = [0.0]
    monkeypatch.setattr(processor_time, "_own_ticks", lambda: ticks[0])
    return ticks


def test_the_times_of_all_tasks_are_read(root, own):
    own[0] = 7.0
    write_file(root, STAT, stat_file(user=100, nice=20, system=30, idle=1000, iowait=50, irq=4, softirq=6, steal=9))
    found = read_processor_time()
    assert (found.total, found.busy, found.stolen, found.own, found.processors) == (1219, 160, 9, 7.0, 2)


def test_a_kernel_that_counts_nothing_is_unknown_and_not_idle(root, own):
    """As in a gVisor sandbox, whose /proc/stat has zeros alone."""
    write_file(root, STAT, stat_file(user=0, idle=0))
    for condition in (CpuSteal(), OtherLoad()):
        assert condition.read() is None


@pytest.mark.parametrize("content", ["", "cpu\n", "cpu  1 2 3\n", "cpu  1 2 3 4 5 6 7 many\n", "intr 1 2 3\n"])
def test_a_file_that_says_nonsense_is_unknown(root, content):
    write_file(root, STAT, content)
    assert read_processor_time() is None
    for condition in (CpuSteal(), OtherLoad()):
        assert condition.read() is None
        assert "/proc/stat" in condition.explain_unknown()


def test_own_work_is_no_load_of_others(root, own):
    condition = OtherLoad()
    condition.read()
    own[0] = 95.0
    write_file(root, STAT, stat_file(user=95, idle=105))
    assert condition.read() == 0.0
    own[0] = 195.0
    write_file(root, STAT, stat_file(user=245, idle=155))  # 50 more than its own, of which 2 may be rounding
    assert condition.read() == pytest.approx(24.0)


def test_steal_is_a_share_of_the_time_that_was_wanted(root, own):
    condition = CpuSteal()
    condition.read()
    write_file(root, STAT, stat_file(user=90, idle=1000, steal=12))
    assert condition.read() == pytest.approx(100 * 10 / 102, abs=0.01)
    assert condition.read() == 0.0, "nothing since the last reading"


def test_a_reading_that_failed_makes_the_next_one_longer_and_never_all_since_boot(root, own):
    condition = OtherLoad()
    write_file(root, STAT, stat_file(user=900, idle=100))
    condition.read()
    write_file(root, STAT, "")
    assert condition.read() is None
    write_file(root, STAT, stat_file(user=900, idle=300))
    assert condition.read() == 0.0


def some(total_us):
    return f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us}\n"


@pytest.mark.parametrize(
    ("others_ticks", "is_breached"), [pytest.param(2, False, id="own threads"), pytest.param(100, True, id="others")]
)
def test_pressure_that_the_trials_own_threads_make_is_no_breach(root, own, others_ticks, is_breached):
    write_file(root, PRESSURE, some(0))
    condition = CpuPressure()
    condition.read()
    own[0] = 198.0
    write_file(root, PRESSURE, some(10**9))
    write_file(root, STAT, stat_file(user=198 + others_ticks, idle=0))
    assert condition.read() == 100.0
    assert condition.is_breached(0.0, 100.0, 20.0) is is_breached


def test_without_the_times_of_processors_all_pressure_counts(root):
    write_file(root, STAT, "")
    write_file(root, PRESSURE, some(0))
    condition = CpuPressure()
    condition.read()
    assert condition.is_breached(0.0, 30.0, 20.0)


def test_this_kernel_tells_and_counts_a_busy_loop_as_own():
    begin = read_processor_time()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    while resource.getrusage(resource.RUSAGE_SELF).ru_utime < used + 0.2:
        pass
    found = read_processor_time().since(begin)
    assert found.own >= 20
    assert found.processors >= 1
    assert found.total > 0


def test_two_readings_cost_less_than_a_millisecond():
    conditions = (CpuPressure(), CpuSteal(), OtherLoad())

    def cost_s():
        used = time.thread_time()
        for condition in conditions:
            condition.read()
            condition.read()
        return time.thread_time() - used

    assert min(cost_s() for _ in range(20)) < 0.001


def test_a_percentage_is_bounded_and_forgives_the_clocks_coarseness():
    def others(busy, total):
        return ProcessorTime(total=total, busy=busy, stolen=0, own=0.0, processors=1).others_percent

    assert (others(2, 2), others(0, 0), others(-5, 100), others(500, 100)) == (0.0, 0.0, 0.0, 100.0)
