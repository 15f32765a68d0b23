"""Processors by the kernel's numbers: present, online, allowed, and what a login can be pinned to by trying."""

import json
import os
import signal
import subprocess
import sys

import pytest

from device_worker.protocol.cpu_list import BadCpuList, format_cpu_list, parse_cpu_list
from device_worker.protocol.samples import decode_block
from device_worker.system.processors import PROCESSOR_LISTS, read_processors, refuse_unusable
from fixture_trees import write_tree
from worker_client import REPOSITORY, trials_of
from worker_plans import PlanBuilder

CPUS = "sys/devices/system/cpu"
PRINT_CPUS = (
    f"#!{sys.executable}\nimport json, os\n"
    "print(json.dumps({'metric': 'cpus', 'samples': sorted(os.sched_getaffinity(0))}))\n"
    "print(json.dumps({'done': True}))\n"
)
OWN = sorted(os.sched_getaffinity(0))
PAIR = pytest.mark.skipif(len(OWN) < 2, reason="this machine has one processor to be pinned to")


@pytest.fixture
def replay(tmp_path, monkeypatch):
    def replay_tree(**lists):
        tree = {f"{CPUS}/{name}": f"{content}\n" for name, content in lists.items()}
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "root", tree))

    return replay_tree


@pytest.mark.parametrize("text", ["0", "0-3", "0,2-3,5", "1-2,7-4095"])
def test_lists_are_read_and_written_in_the_kernels_format(text):
    assert format_cpu_list(parse_cpu_list(text)) == text


def test_the_facts_of_this_machine_are_the_kernels():
    found = read_processors()
    with open(f"/{CPUS}/online") as file:
        assert found["cpus_online"] == file.read().strip()
    assert parse_cpu_list(found["cpus_allowed"]) == os.sched_getaffinity(0)
    assert parse_cpu_list(found["cpus_allowed"]) <= parse_cpu_list(found["cpus_usable"])
    assert sorted(os.sched_getaffinity(0)) == OWN, "the attempt leaves no trace"


def test_a_processor_that_is_taken_offline_is_named(replay):
    replay(present="0-4000", online="0-3")
    with pytest.raises(BadCpuList, match="CPU 4000 is offline, online are 0-3"):
        refuse_unusable(frozenset([4000]))


def test_a_processor_that_is_not_there_is_named(replay):
    replay(present="0-3", online="0-3")
    with pytest.raises(BadCpuList, match="no CPU 4000-4001 here, only 0-3"):
        refuse_unusable(frozenset([4000, 4001]))


def test_files_that_say_nothing_leave_the_reason_to_the_attempt(replay):
    replay(present="nonsense", online="")
    assert read_processors()["cpus_present"] is None
    assert read_processors()["cpus_online"] is None
    with pytest.raises(BadCpuList, match="may not use CPU 4000"):
        refuse_unusable(frozenset([4000]))


def below(affinity, program, *arguments):
    """Run a program as a login whose affinity leaves processors out, as isolcpus does, and return its output."""
    code = f"import os, sys; os.sched_setaffinity(0, {affinity}); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", code, sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=REPOSITORY)
    return json.loads(done.stdout.decode())


@PAIR
def test_what_the_affinity_of_a_login_leaves_out_is_usable_all_the_same():
    program = "import json; from device_worker.system.processors import read_processors as r; print(json.dumps(r()))"
    found = below({OWN[1]}, program)
    assert found["cpus_allowed"] == str(OWN[1])
    assert {OWN[0], OWN[1]} <= parse_cpu_list(found["cpus_usable"])


@PAIR
@pytest.mark.parametrize("wanted", OWN[:2])
def test_a_trial_is_pinned_to_what_the_login_leaves_out(connect, plans, wanted):
    """As isolcpus: the login may use the one, and pins itself to the other."""
    other = OWN[0] if wanted == OWN[1] else OWN[1]
    code = f"import os, sys; os.sched_setaffinity(0, [{other}]); os.execv(sys.argv[1], sys.argv[1:])"
    device = connect(prefix=[sys.executable, "-c", code])
    plans.add_program("job", PRINT_CPUS, settings={"cpus": str(wanted)})
    (finished,) = trials_of(device.execute("run-1", plans))
    assert list(decode_block(finished["metrics"][0]["samples"])) == [wanted]
    assert device.ask("facts")["facts"]["cpus_allowed"] == str(other)


def cpuset_folder():
    """Return a folder of this machine in which a cpuset can be made, or None."""
    for root in ("/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"):
        if os.path.exists(f"{root}/cpuset.cpus") and os.access(root, os.W_OK):
            return root
    return None


@PAIR
@pytest.mark.skipif(cpuset_folder() is None, reason="this machine lets no test make a cpuset")
def test_a_cpuset_forbids_and_is_named(tmp_path):
    folder = f"{cpuset_folder()}/benchfleet-test-{os.getpid()}"
    os.mkdir(folder)
    try:
        for name, content in (("cpuset.cpus", str(OWN[0])), ("cpuset.mems", "0")):
            with open(f"{folder}/{name}", "w") as file:
                file.write(content)
        program = (
            "import json, os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "from device_worker.system.processors import *\n"
            "try: said = refuse_unusable(frozenset([int(sys.argv[2])]))\n"
            "except Exception as error: said = str(error)\n"
            "print(json.dumps([said, read_processors()]))"
        )
        said, found = below(set(OWN), program, folder, str(OWN[1]))
    finally:
        os.rmdir(folder)
    assert f"this login may not use CPU {OWN[1]}, only {OWN[0]}: the cpuset" in said
    assert found["cpus_usable"] == str(OWN[0])


@PAIR
def test_a_killed_runner_leaves_nothing_pinned(connect, plans, state_dir):
    """The kernel keeps an affinity with its process, and nothing is on record that somebody had to undo."""
    device = connect()
    before = device.ask("facts")["facts"]
    plans.add_program("job", "#!/bin/sh\nexec tail -f /dev/null\n", settings={"cpus": str(OWN[1])})
    answer = device.start("run-1", plans)
    device.until(device.follow("run-1", answer["log_id"]), "trial-started")
    os.kill(answer["pid"], signal.SIGKILL)
    again = connect()
    after = again.ask("facts")["facts"]
    assert {name: after[name] for name in PROCESSOR_LISTS} == {name: before[name] for name in PROCESSOR_LISTS}
    free = PlanBuilder()
    free.add_program("free", PRINT_CPUS)
    (finished,) = trials_of(again.execute("run-2", free))
    assert list(decode_block(finished["metrics"][0]["samples"])) == OWN
    assert not os.path.exists(os.path.join(state_dir, "governor"))
