"""Fast and slow processors: hybrid parts as their kernels show them, by the kernel's numbers."""

import pytest

from device_worker.sensing.clocks import _share_of, explain_no_clock
from device_worker.sensing.processor_kinds import read_kinds
from device_worker.sensing.readings import read_cpu_mhz_max, read_governor, read_policies_mhz
from fixture_trees import write_tree

CPUS = "sys/devices/system/cpu"


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """A function that replays the tree of a board."""

    def replay_tree(tree):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(root, tree))

    return replay_tree


def intel(core, atom, present, online, lowpower=None, clocks=None):
    """An Intel part: counters for each kind of core, and a policy of frequency for each online processor."""
    tree = {f"{CPUS}/present": present + "\n", f"{CPUS}/online": online + "\n"}
    for name, cpus in (("cpu_core", core), ("cpu_atom", atom), ("cpu_lowpower", lowpower)):
        if cpus:
            tree[f"sys/devices/{name}/cpus"] = cpus + "\n"
    for cpu, khz in (clocks or {}).items():
        tree[f"{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = f"{khz}\n"
        tree[f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq"] = f"{khz // 2}\n"
        tree[f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor"] = "powersave\n"
    return tree


def arm(clusters, online, with_capacity=True, offline=()):
    """An ARM board. `clusters` are the first and last number, capacity, highest and present clock in kHz."""
    tree = {f"{CPUS}/online": online + "\n"}
    for first, last, capacity, most, now in clusters:
        numbers = range(first, last + 1)
        policy = f"{CPUS}/cpufreq/policy{first}"
        tree[f"{policy}/related_cpus"] = " ".join(map(str, numbers)) + "\n"
        tree[f"{policy}/cpuinfo_max_freq"] = f"{most}\n"
        tree[f"{policy}/scaling_cur_freq"] = f"{now}\n"
        tree[f"{policy}/scaling_governor"] = "schedutil\n"
        for cpu in numbers:
            tree[f"{CPUS}/cpu{cpu}/topology/core_id"] = f"{cpu}\n"
            if with_capacity:
                tree[f"{CPUS}/cpu{cpu}/cpu_capacity"] = f"{capacity}\n"
            if cpu not in offline:  # the kernel takes the link of an offline processor away
                tree[f"{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = f"{most}\n"
                tree[f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq"] = f"{now}\n"
    return tree


RK3588 = [(0, 3, 414, 1800000, 1008000), (4, 5, 1024, 2352000, 2352000), (6, 7, 1010, 2304000, 408000)]
"""Two clusters of Cortex-A76 that differ by binning, and one of Cortex-A55."""


def kinds():
    return [(one["cpus"], one["name"], one["capacity"], one["mhz_max"]) for one in read_kinds() or ()]


def test_an_intel_part_has_cores_of_two_kinds(replay):
    clocks = {0: 5100000, 1: 5100000, 16: 3800000, 17: 3800000, 8: 5300000}
    replay(
        dict(
            intel("0-15", "16-23", "0-23", "0-23", clocks=clocks), **{f"{CPUS}/cpu{n}/online": "1\n" for n in range(24)}
        )
    )
    assert kinds() == [("0-15", "cpu_core", None, 5300.0), ("16-23", "cpu_atom", None, 3800.0)]


def test_processors_of_a_kind_that_are_offline_are_of_no_kind(replay):
    folders = {f"{CPUS}/cpu{number}/online": "1\n" for number in range(12)}
    replay(dict(intel("0-1,4-5", "8-11", "0-11", "0-1,4-5,8-11"), **folders))
    assert kinds() == [("0-1,4-5", "cpu_core", None, None), ("8-11", "cpu_atom", None, None)]


def test_a_part_whose_slow_cores_are_all_off_has_one_kind(replay):
    replay(dict(intel("0-7", None, "0-11", "0-7"), **{f"{CPUS}/cpu{number}/online": "1\n" for number in range(12)}))
    assert read_kinds() is None


def test_a_third_kind_of_intels_is_the_slowest(replay):
    folders = {f"{CPUS}/cpu{number}/online": "1\n" for number in range(10)}
    replay(dict(intel("0-3", "4-7", "0-9", "0-9", lowpower="8-9"), **folders))
    assert [cpus for cpus, *_ in kinds()] == ["0-3", "4-7", "8-9"]


def test_favoured_cores_of_one_kind_are_no_kind(replay):
    clocks = {0: 5700000, 1: 5500000, 2: 5450000, 3: 5400000}
    replay(intel(None, None, "0-3", "0-3", clocks=clocks))
    assert read_kinds() is None


def test_clusters_that_differ_by_binning_are_one_kind(replay):
    replay(arm(RK3588, "0-7"))
    assert kinds() == [("4-7", None, 1024, 2352.0), ("0-3", None, 414, 1800.0)]


def test_offline_processors_are_left_out_of_their_cluster(replay):
    replay(arm(RK3588, "0-2,5-6", offline=(3, 4, 7)))
    assert kinds() == [("5-6", None, 1024, 2352.0), ("0-2", None, 414, 1800.0)]


def test_three_clusters_are_three_kinds(replay):
    replay(arm([(0, 3, 250, 1800000, 300000), (4, 6, 812, 2400000, 300000), (7, 7, 1024, 2840000, 300000)], "0-7"))
    assert [cpus for cpus, *_ in kinds()] == ["7", "4-6", "0-3"]


def test_without_capacities_the_highest_clocks_tell(replay):
    """As on vendor kernels of the RK3399: two policies, and nothing else."""
    replay(arm([(0, 3, 0, 1416000, 408000), (4, 5, 0, 1800000, 408000)], "0-5", with_capacity=False))
    assert kinds() == [("4-5", None, None, 1800.0), ("0-3", None, None, 1416.0)]


def test_alike_or_silent_processors_have_no_kinds(replay):
    replay(arm([(0, 3, 1024, 1800000, 600000)], "0-3"))
    assert read_kinds() is None
    replay({f"{CPUS}/online": "0-3\n"})
    assert read_kinds() is None


def test_nonsense_of_a_kernel_is_no_kind(replay):
    tree = arm(RK3588, "0-7")
    replay({**tree, "sys/devices/cpu_core/cpus": "0-x\n", f"{CPUS}/cpu5/cpu_capacity": "much\n"})
    assert [cpus for cpus, *_ in kinds()] == ["4-7", "0-3"], "the clocks tell, where a capacity is missing"


def test_each_cluster_has_its_own_clock_and_share(replay):
    replay(arm(RK3588, "0-2,4-7", offline=(3,)))
    assert read_policies_mhz() == {"policy0": 1008.0, "policy4": 2352.0, "policy6": 408.0}
    shares = [_share_of(f"/{CPUS}/cpu{cpu}") for cpu in (0, 4, 6)]
    assert shares == pytest.approx([0.56, 1.0, 0.177], abs=0.001), "each of the highest clock of its own cluster"
    assert _share_of(f"/{CPUS}/cpu3") is None
    assert (read_cpu_mhz_max(), read_governor(), explain_no_clock()) == (2352.0, "schedutil", None)
