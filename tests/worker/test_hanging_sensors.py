"""Sensors whose read never returns: a FIFO that nobody writes stands for a bus that hangs."""

import contextlib
import os
import signal
import threading
import time

import pytest

from device_worker.serving import facts
from device_worker.system import patient_reader
from device_worker.system.patient_reader import PatientReader
from fixture_trees import RASPBERRY_PI_4, write_tree
from hanging_file_system import HangingZone
from power_fakes import FAKE_INA219
from worker_client import PATIENCE_S, runner_of, trials_of, wait_until

TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
POWER = "sys/class/hwmon/hwmon0/power1_input"
GOVERNOR = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'


class Board:
    """The tree of a Raspberry Pi with a power monitor, whose sensors can hang, and be freed."""

    def __init__(self, root):
        self.root = root
        self._hanging = []
        write_tree(root, dict(RASPBERRY_PI_4, **FAKE_INA219))

    def hang(self, name):
        path = os.path.join(str(self.root), name)
        os.mkfifo(path + ".fifo")
        os.rename(path + ".fifo", path)
        self._hanging.append(path)

    def free(self):
        """Let every read that hangs end."""
        while self._hanging:
            path = self._hanging.pop()
            for _ in range(100):  # a reader may be between two of its reads
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                except OSError:  # nobody reads it
                    break


@pytest.fixture
def board(tmp_path):
    made = Board(tmp_path / "board")
    yield made
    made.free()


@pytest.fixture
def pi(connect, board):
    """A connection to a Raspberry Pi of files."""
    return connect(environment={"BENCHFLEET_SYSFS_ROOT": str(board.root)})


class Sources:
    """Two sources, the first of which answers when it is let."""

    def __init__(self):
        self.asked = 0
        self.answers = threading.Event()

    def slow(self):
        self.asked += 1
        self.answers.wait(PATIENCE_S)
        return "late"

    def both(self):
        return {"before": lambda: 1, "slow": self.slow, "after": lambda: 3}


@pytest.fixture
def sources():
    made = Sources()
    yield made
    made.answers.set()


def test_a_source_that_hangs_costs_itself_alone_and_one_thread(sources):
    reader = PatientReader(1.0)
    for _ in range(3):
        values, reasons = reader.read(sources.both())
        assert values == {"before": 1, "slow": None, "after": 3}
        assert reasons == {"slow": "no answer within 1 s: does a driver or a bus hang?"}
    assert sources.asked == 1


def test_a_source_that_comes_back_is_asked_again(sources):
    reader = PatientReader(1.0)
    reader.read(sources.both())
    sources.answers.set()
    wait_until(lambda: reader.read(sources.both()) == ({"before": 1, "slow": "late", "after": 3}, {}))
    assert sources.asked == 2


def test_what_a_source_raises_is_raised():
    def fail():
        raise OSError("no such bus")

    with pytest.raises(OSError, match="no such bus"):
        PatientReader().read({"first": lambda: 1, "second": fail})


def test_a_device_that_can_start_no_thread_has_no_readings(monkeypatch):
    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(patient_reader._thread, "start_new_thread", refuse)
    values, reasons = PatientReader().read({"one": lambda: 1})
    assert (values, reasons) == ({"one": None}, {"one": "the device could not start a thread: can't start new thread"})


def test_no_thread_is_left_after_an_answer():
    reader = PatientReader()
    before = set(os.listdir("/proc/self/task"))  # a thread of an earlier test may yet end
    for _ in range(50):
        reader.read({"one": lambda: 1, "two": lambda: 2})
    wait_until(lambda: set(os.listdir("/proc/self/task")) <= before)


@pytest.mark.parametrize(
    ("sensor", "reading"), [(TEMPERATURE, "temperature_c"), (THROTTLED, "throttled"), (GOVERNOR, "governor")]
)
def test_a_sensor_that_hangs_costs_a_run_its_reading_and_nothing_else(pi, plans, board, sensor, reading):
    board.hang(sensor)
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=60.0)
    plans.add_program("job", f"#!/bin/sh\n{DONE}", trials=3)
    begin = time.monotonic()
    events = pi.execute("run-1", plans)
    assert time.monotonic() - begin < 4 * patient_reader.READ_S_MAX  # once, not once a trial
    assert events[-1]["outcome"] == "complete"
    finished = trials_of(events)
    words = ["temperature-unknown"] if sensor == TEMPERATURE else []  # the plan limits the temperature alone
    assert [(event["outcome"], event["invalid"]) for event in finished] == [("ok", words)] * 3
    for event in finished:
        for conditions in (event["conditions"], event["conditions_before"]):
            assert conditions[reading] is None
            assert conditions["unknown"][reading].startswith("no answer within 3 s")
            others = {"temperature_c", "throttled", "governor", "cpu_mhz", "memory_available_bytes"} - {reading}
            assert [key for key in others if conditions[key] is None] == []


def test_a_trial_whose_limit_a_hang_left_unjudged_is_repeated(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=60.0)
    plans.plan["retries"]["invalid"] = 1
    path = f"{board.root}/{TEMPERATURE}"
    heal = f"if [ -p {path} ]; then echo 50000 > {path}.new; exec 9>{path}; mv {path}.new {path}; exec 9>&-; fi\n"
    board.hang(TEMPERATURE)
    plans.add_program("job", f"#!/bin/sh\n{heal}{DONE}")
    first, second = trials_of(pi.execute("run-1", plans))
    assert first["conditions_before"]["unknown"]["temperature_c"].startswith("no answer within 3 s")
    assert (first["outcome"], first["invalid"]) == ("ok", ["temperature-unknown"])
    assert (second["attempt"], second["invalid"], second["conditions"]["temperature_c"]) == (2, [], 50.0)


def test_a_trial_after_which_a_sensor_is_gone_is_not_judged(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0)
    plans.add_program("job", f"#!/bin/sh\nrm -f {board.root}/{TEMPERATURE}\n{DONE}", trials=2)
    found = trials_of(pi.execute("run-1", plans))
    assert [event["invalid"] for event in found] == [["temperature-unknown"]] * 2
    assert "gives a plausible temperature" in found[0]["conditions"]["unknown"]["temperature_c"]


def test_a_sensor_that_begins_to_hang_holds_neither_runner_nor_locks(pi, plans, board, state_dir, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    plans.add_program("gated", f"#!/bin/sh\nread line < {gate}\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    messages = pi.follow("run-1", log_id)
    pi.until(messages, "trial-finished", trial="job.1")
    board.hang(TEMPERATURE)
    gate.write_text("go\n")
    pi.until(messages, "trial-finished", trial="gated.1")
    assert list(messages)[-1]["state"] == "finished"
    runner = runner_of(state_dir, "run-1")
    wait_until(lambda: not runner.is_alive)
    again = type(plans)()
    again.add_program("job")
    assert pi.execute("run-2", again)[-1]["outcome"] == "complete"


@pytest.fixture
def slow_sensor(board):
    """A function that makes the board's temperature answer after a time. A FIFO's writer stands for the sensor."""
    is_over = threading.Event()
    path = os.path.join(str(board.root), TEMPERATURE)
    board.hang(TEMPERATURE)

    def answer(seconds, text):
        while not is_over.is_set():
            # A reader that gave up before its answer is no fault of the sensor.
            with contextlib.suppress(BrokenPipeError), open(path, "w") as sensor:  # opened once a reader is there
                is_over.wait(seconds)
                sensor.write(text)
            wait_until(lambda: is_over.is_set() or not is_read(path))

    threads = []

    def begin(seconds, text):
        threads.append(threading.Thread(target=answer, args=(seconds, text)))
        threads[0].start()

    yield begin
    is_over.set()
    for thread in threads:
        while thread.is_alive():
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            thread.join(0.01)


def is_read(path):
    """Return True if a process has the reading end of a FIFO open."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_slow_sensor_draws_no_wait_for_cooling_out(pi, plans, slow_sensor):
    slow_sensor(1.5, "80000\n")
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=2.0)
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    messages = pi.follow("run-1", log_id)
    pi.until(messages, "runner-started")
    begin = time.monotonic()
    pi.until(messages, "trial-started")
    # The wait, the last reading, and the reading for the record: each pause had a reading beside it before.
    assert time.monotonic() - begin < 2.0 + 1.5 + 1.5 + 1.5
    assert trials_of(pi.until(messages, "trial-finished"))[0]["invalid"] == ["too-hot"]


def threads_of(pid):
    """Return the open files of each thread of a process but the first."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{task}/fd"
        if task != str(pid):
            found.append({os.readlink(f"{folder}/{name}") for name in os.listdir(folder)})
    return found


def held_in(folder, files):
    return {name for name in files if name.startswith(f"{folder}/")}


def test_a_thread_that_hangs_keeps_no_lock(pi, plans, board, state_dir, tmp_path):
    """The kernel gives back the locks of a killed runner only once no thread of it has the files open."""
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    board.hang(TEMPERATURE)
    plans.add_program("gated", f"#!/bin/sh\nread line < {gate}\n{DONE}", trials=2)
    log_id = pi.start("run-1", plans)["log_id"]
    pi.until(pi.follow("run-1", log_id), "trial-started")
    runner = runner_of(state_dir, "run-1")
    assert len(threads_of(runner.pid)) >= 1
    # A thread of the power source has just begun, and may still be about to let go.
    kept = f"{state_dir}/runs/run-1/runner.log"
    wait_until(lambda: not any(held_in(state_dir, files) - {kept} for files in threads_of(runner.pid)))


@pytest.fixture
def dead_bus(board):
    """A board whose thermal zone hangs in the kernel, where no signal reaches the reader."""
    zone = board.root / os.path.dirname(TEMPERATURE)
    for name in os.listdir(str(zone)):
        os.unlink(str(zone / name))
    with HangingZone(zone) as served:
        if served.reason is not None:
            pytest.skip(served.reason)
        yield board


def states_of(pid):
    """Return the states of a process's threads, the first one's first: D is stuck in the kernel, Z has ended."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as file:
            found[int(task)] = file.read().rpartition(")")[2].split()[0]
    return [found[task] for task in sorted(found)]


def test_a_thread_that_not_even_a_kill_ends_keeps_nobody_from_the_device(dead_bus, pi, plans, state_dir, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    plans.add_program("gated", f"#!/bin/sh\nread line < {gate}\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    messages = pi.follow("run-1", log_id)
    pi.until(messages, "trial-started")
    runner = runner_of(state_dir, "run-1")
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)
    # The kill wakes the thread, which goes to sleep again beyond the reach of signals.
    wait_until(lambda: states_of(runner.pid)[:2] == ["Z", "D"])
    assert list(messages)[-1]["state"] == "stopped"
    other = type(plans)()
    other.add_program("job", f"#!/bin/sh\n{DONE}", trials=2)
    assert pi.execute("run-2", other)[-1]["outcome"] == "complete"
    wait_until(lambda: not runner_of(state_dir, "run-2").is_alive)


@pytest.mark.parametrize("moment", ["at the start", "in the midst"])
def test_a_power_source_that_hangs_costs_the_energy_with_the_reason(pi, plans, board, moment):
    plans.plan["power"] = {"idle_s": 0.3}
    hang = f"[ -p {board.root}/{POWER} ] || {{ mkfifo {board.root}/p; mv {board.root}/p {board.root}/{POWER}; }}\n"
    if moment == "at the start":
        board.hang(POWER)
    plans.add_program("job", f"#!/bin/sh\n{'' if moment == 'at the start' else hang}sleep 0.2\n{DONE}", trials=3)
    board._hanging.append(os.path.join(str(board.root), POWER))
    begin = time.monotonic()
    finished = trials_of(pi.execute("run-1", plans))
    assert time.monotonic() - begin < 12
    assert [event["outcome"] for event in finished] == ["ok"] * 3
    for event in finished:
        assert "within" in event["power"]["reason"], event["power"]
        assert [metric["name"] for metric in event["metrics"]] == ["m"]


def test_the_facts_are_told_beside_sensors_that_hang(pi, board):
    for name in (TEMPERATURE, THROTTLED, GOVERNOR, POWER):
        board.hang(name)
    begin = time.monotonic()
    found = pi.ask("facts")["facts"]
    assert time.monotonic() - begin < 5 * patient_reader.READ_S_MAX
    assert [found[key] for key in ("temperature_c", "throttled", "governor")] == [None, None, None]
    assert sorted(found["unknown"]) == ["governor", "temperature_c", "throttled"]
    assert found["cpu_mhz_max"] == 1800.0
    (source,) = found["power_sources"]
    assert (source["name"], source["readable"]) == ("hwmon", False)
    assert source["reason"].startswith("no answer within 3 s")
    assert pi.ask("facts")["facts"]["temperature_c"] is None


def test_facts_of_a_sound_device_are_all_told(tmp_path, board, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(board.root))
    found = facts.collect_facts(str(tmp_path))
    assert (found["unknown"], found["temperature_c"], found["governor"]) == ({}, 48.686, "ondemand")
