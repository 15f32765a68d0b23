"""What each stage adds to the memory of the process, and the peak, with the reasons where the kernel does not tell."""

import mmap
import os

import pytest

from device_worker.trial.memory import MemoryStages, read_resident_bytes

MIB = 1 << 20


SWAP_KIB = 12


class Kernel:
    """A process's folder in /proc whose numbers a test sets. Without `can_reset` the peak cannot be reset."""

    def __init__(self, folder, can_reset=True):
        self.folder = str(folder)
        self._can_reset = can_reset
        if can_reset:
            (folder / "clear_refs").write_text("")
        else:
            (folder / "clear_refs").mkdir()  # opens for nobody

    def say(self, resident_kib, peak_kib, rollup_kib=None):
        with open(os.path.join(self.folder, "status"), "w") as file:
            file.write(
                f"Name:\tpython3\nVmHWM:\t{peak_kib:8} kB\nVmRSS:\t{resident_kib:8} kB\nVmSwap:\t{SWAP_KIB:8} kB\n"
            )
        if rollup_kib is not None:
            with open(os.path.join(self.folder, "smaps_rollup"), "w") as file:
                file.write(f"55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:{rollup_kib:16} kB\nPss: 1 kB\n")


def figures_of(stages):
    return {metric: value for metric, value, _ in stages.figures()}


def reasons_of(stages):
    return {metric: reason for metric, _, reason in stages.figures() if reason is not None}


def walk(kernel):
    """Take stages through the life of a trial: import, load, run, and the timing that takes memory of its own."""
    kernel.say(10000, 12000)
    stages = MemoryStages(kernel.folder)
    kernel.say(30000, 33000)
    stages.end("rss_import_bytes")
    kernel.say(31000, 33000 if not kernel._can_reset else 31000)  # a data set, which is no stage's
    stages.begin_model()
    kernel.say(31500, 33000 if not kernel._can_reset else 31800)
    stages.end("rss_load_bytes")
    kernel.say(31400, 33000 if not kernel._can_reset else 31800)
    stages.end("rss_run_bytes")
    stages.end("rss_steady_bytes", is_whole=True)
    stages.end_model()
    return stages


def test_stages_add_up_and_the_peak_is_the_models(tmp_path):
    kernel = Kernel(tmp_path)
    stages = walk(kernel)
    kernel.say(40000, 40000)
    stages.end_peak()
    assert figures_of(stages) == {
        "rss_interpreter_bytes": 10000 * 1024,
        "rss_import_bytes": 20000 * 1024,
        "rss_load_bytes": 500 * 1024,
        "rss_run_bytes": -100 * 1024,
        "rss_steady_bytes": 31400 * 1024,
        "rss_model_bytes_max": 800 * 1024,
        "rss_bytes_max": 40000 * 1024,
        "swap_bytes": SWAP_KIB * 1024,
    }
    assert reasons_of(stages) == {}
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_a_peak_that_nobody_could_reset_is_no_models(tmp_path):
    stages = walk(Kernel(tmp_path, can_reset=False))
    stages.end_peak()
    assert figures_of(stages)["rss_model_bytes_max"] is None
    assert figures_of(stages)["rss_bytes_max"] is None
    assert set(reasons_of(stages)) == {"rss_model_bytes_max", "rss_bytes_max"}
    assert "clear_refs" in reasons_of(stages)["rss_bytes_max"]


def test_a_peak_above_that_of_the_imports_is_known_without_a_reset(tmp_path):
    kernel = Kernel(tmp_path, can_reset=False)
    stages = walk(kernel)
    kernel.say(36000, 37000)
    stages.end_peak()
    assert figures_of(stages)["rss_bytes_max"] == 37000 * 1024
    assert set(reasons_of(stages)) == {"rss_model_bytes_max"}


def test_a_kernel_that_tells_nothing_leaves_reasons(tmp_path):
    stages = MemoryStages(str(tmp_path / "no-such-process"))
    stages.end("rss_import_bytes")
    stages.begin_model()
    stages.end_model()
    stages.end_peak()
    assert set(figures_of(stages).values()) == {None}
    assert len(reasons_of(stages)) == 5


@pytest.mark.parametrize("status", ["", "VmRSS:\n", "VmRSS: many kB\n"])
def test_a_status_without_a_number_is_unknown(tmp_path, status):
    (tmp_path / "status").write_text(status)
    assert read_resident_bytes(str(tmp_path)) is None


def test_the_counted_pages_come_before_the_lagging_counter(tmp_path):
    Kernel(tmp_path).say(30000, 33000, rollup_kib=30120)
    assert read_resident_bytes(str(tmp_path)) == 30120 * 1024


def test_the_memory_of_this_process_is_told_to_a_page():
    stages = MemoryStages()
    kept = mmap.mmap(-1, 32 * MIB)
    for at in range(0, len(kept), mmap.PAGESIZE):
        kept[at] = 1
    stages.end("kept_bytes")
    assert figures_of(stages)["kept_bytes"] == pytest.approx(32 * MIB, abs=MIB)
    kept.close()
