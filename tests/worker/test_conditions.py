"""Every condition on the trees of boards: what it reads, what breaches it, and what it says where it reads nothing."""

import time

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.sensing.conditions import temperature
from device_worker.sensing.conditions.base import Condition, TrialSeen
from device_worker.sensing.conditions.cpu_pressure import CpuPressure
from device_worker.sensing.conditions.table import CONDITIONS, ConditionWatch, refuse_unknown_limits, untold
from fixture_trees import RASPBERRY_PI_4, stat_file, write_file, write_tree

PRESSURE = "proc/pressure/cpu"
APEX = "sys/class/apex/apex_0/"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def pressure(total_us, avg10="7.50"):
    """Return the file of a kernel 5.13 or later, which has a line for the whole system that is always zero."""
    return (
        f"some avg10={avg10} avg60=1.00 avg300=0.20 total={total_us}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """A function that lets a tree stand for "/"."""

    def replay_tree(tree):
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "root", tree))
        return tmp_path / "root"

    return replay_tree


READINGS = [
    pytest.param("temperature_c", RASPBERRY_PI_4, 48.686, id="temperature"),
    pytest.param("throttled", RASPBERRY_PI_4, False, id="throttling"),
    pytest.param("tpu_throttled", {APEX + "temp": "84000\n", APEX + "trip_point0_temp": "85000\n"}, False, id="tpu"),
    pytest.param("cpu_pressure_percent", {PRESSURE: pressure(1000)}, 7.5, id="cpu-pressure"),
    pytest.param("cpu_steal_percent", {"proc/stat": stat_file(user=10**9, steal=10**9 + 2)}, 50.0, id="cpu-steal"),
    # So much, because what this process took in its own time is not other load.
    pytest.param("governor", RASPBERRY_PI_4, "ondemand", id="governor"),
    pytest.param("other_load_percent", {"proc/stat": stat_file(nice=10**13, idle=10**13)}, 50.0, id="other-load"),
]


SEEN = TrialSeen(steady_ratio=0.75, clock_percent=60.0)
OF_TRIALS = [
    pytest.param("frequency_percent", 60.0, 61.0, 60.0, id="frequency"),
    pytest.param("unsteady_percent", 25.0, 24.0, 25.0, id="unsteadiness"),
]


ELSEWHERE = {"gpu_throttled"}
"""Needs a library to be built: test_power_nvml.py."""


def condition_of(reading):
    return next(kind for kind in CONDITIONS if kind.reading == reading)()


def test_every_condition_is_tried_here():
    tried = {case.values[0] for case in (*READINGS, *OF_TRIALS)} | ELSEWHERE
    assert tried == {kind.reading for kind in CONDITIONS}


def test_no_two_conditions_share_a_key_or_a_word():
    assert len({kind.reading for kind in CONDITIONS}) == len(CONDITIONS)
    assert len({kind.invalid for kind in CONDITIONS}) == len(CONDITIONS)
    limits = [kind.limit for kind in CONDITIONS if kind.limit is not None]
    assert len(set(limits)) == len(limits)


@pytest.mark.parametrize(("reading", "tree", "expected"), READINGS)
def test_a_condition_reads_its_board(replay, reading, tree, expected):
    replay(tree)
    condition = condition_of(reading)
    assert isinstance(condition, Condition)
    assert condition.read() == expected
    found = ConditionWatch({}).read()
    assert found[reading] == expected
    assert reading not in found["unknown"]


@pytest.mark.parametrize(("reading", "tree", "expected"), READINGS)
def test_a_condition_without_its_sensor_says_why_and_breaches_nothing(replay, reading, tree, expected):
    replay({})
    condition = condition_of(reading)
    limits = {} if condition.limit is None else {condition.limit: 0.0 if condition.limit != "governor" else "powersave"}
    watch = ConditionWatch(limits)
    found = watch.read()
    assert found[reading] is None
    assert len(found["unknown"][reading]) > 20
    assert watch.find_breaches(found, watch.read()) == []
    assert not watch.must_wait()


@pytest.mark.parametrize(
    ("reading", "tree", "expected"),
    [case for case in READINGS if case.values[0] not in ("throttled", "tpu_throttled", "governor")],
)
def test_a_limit_is_breached_above_it_and_not_at_it(replay, reading, tree, expected):
    replay(tree)
    condition = condition_of(reading)
    found = ConditionWatch({}).read()
    for limit, breaches in ((expected - 0.1, [condition.invalid]), (expected, []), (None, [])):
        watch = ConditionWatch({} if limit is None else {condition.limit: limit})
        assert watch.find_breaches(found, found) == breaches


@pytest.mark.parametrize(("reading", "expected", "broken", "kept"), OF_TRIALS)
def test_a_condition_of_a_trial_is_read_after_it_alone(replay, reading, expected, broken, kept):
    replay({})
    condition = condition_of(reading)
    for limit, breaches in ((broken, [condition.invalid]), (kept, []), (None, [])):
        watch = ConditionWatch({} if limit is None else {condition.limit: limit})
        before = watch.read()
        assert reading not in before
        watch.note(SEEN)
        after = watch.read(is_after_trial=True)
        assert after[reading] == expected
        assert watch.find_breaches(before, after) == breaches
    watch = ConditionWatch({condition.limit: broken})
    watch.note(TrialSeen())
    after = watch.read(is_after_trial=True)
    assert after[reading] is None
    assert len(after["unknown"][reading]) > 20
    assert watch.find_breaches(watch.read(), after) == []
    watch.note(SEEN)
    watch.read(is_after_trial=True)
    watch.note(TrialSeen())  # it has answered before: what is silent now was not kept to
    assert watch.find_breaches(watch.read(), watch.read(is_after_trial=True)) == [condition.unanswered]


def test_a_profile_has_no_samples_that_could_be_unsteady(replay):
    replay({})
    watch = ConditionWatch({"unsteady_max_percent": 5.0, "frequency_min_percent": 90.0})
    before = watch.read()
    watch.note(SEEN)
    timed = watch.read(is_after_trial=True)
    assert watch.find_breaches(before, timed) == ["frequency-low", "unsteady"]
    assert watch.find_breaches(before, timed, is_timed=False) == ["frequency-low"]
    watch.note(TrialSeen(clock_percent=95.0))
    after = watch.read(is_after_trial=True)
    assert watch.find_breaches(before, after) == ["steadiness-unknown"]
    assert watch.find_breaches(before, after, is_timed=False) == []


def test_another_governor_is_a_breach(replay):
    root = replay(RASPBERRY_PI_4)
    watch = ConditionWatch({"governor": "ondemand"})
    before = watch.read()
    assert watch.find_breaches(before, watch.read()) == []
    write_file(root, "sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n")
    assert watch.find_breaches(before, watch.read()) == ["governor"]
    assert ConditionWatch({}).find_breaches(before, watch.read()) == []


def test_a_trial_begins_as_cool_as_asked_for(replay):
    replay(RASPBERRY_PI_4)  # 48.7 degrees
    assert ConditionWatch({"temperature_c_max": 70.0}, {"temperature_c": 45.0}).must_wait()
    assert ConditionWatch({}, {"temperature_c": 45.0}).must_wait()
    assert not ConditionWatch({"temperature_c_max": 70.0}, {"temperature_c": 50.0}).must_wait()


def test_a_device_says_which_conditions_it_can_never_tell(replay):
    replay({})
    reasons = untold()
    assert set(reasons) == {kind.reading for kind in CONDITIONS} - {"unsteady_percent"}
    assert all(len(reason) > 20 for reason in reasons.values())
    cpu = "sys/devices/system/cpu/cpu0"
    clocks = {f"{cpu}/cpufreq/scaling_cur_freq": "600000\n", f"{cpu}/cpufreq/cpuinfo_max_freq": "1500000\n"}
    replay(dict(RASPBERRY_PI_4, **clocks))
    reasons = untold()
    assert {"cpu_pressure_percent", "cpu_steal_percent", "other_load_percent"} <= set(reasons)
    assert not {"temperature_c", "throttled", "governor", "frequency_percent", "unsteady_percent"} & set(reasons)
    # A counter says nothing at its first reading, and everything from the second on.
    replay({f"{cpu}/thermal_throttle/core_throttle_count": "4\n"})
    assert "throttled" not in untold()


def test_a_throttled_cpu_needs_no_limit(replay):
    root = replay(RASPBERRY_PI_4)
    watch = ConditionWatch({})
    before = watch.read()
    write_file(root, THROTTLED, "d0005\n")
    assert watch.find_breaches(before, watch.read()) == ["throttled"]


def test_only_a_condition_that_can_settle_is_waited_for(replay):
    replay(dict(RASPBERRY_PI_4, **{PRESSURE: pressure(1000, avg10="99.00")}))
    assert not ConditionWatch({"cpu_pressure_max_percent": 5.0}).must_wait()
    assert ConditionWatch({"temperature_c_max": 40.0}).must_wait()
    assert not ConditionWatch({"temperature_c_max": 50.0}).must_wait()
    assert not ConditionWatch({}).must_wait()


def test_pressure_is_that_of_the_time_between_two_readings(replay):
    root = replay({PRESSURE: pressure(5000000)})
    condition = CpuPressure()
    begin = time.monotonic()
    condition.read()
    until = begin + 0.2
    while time.monotonic() < until:
        pass
    write_file(root, PRESSURE, pressure(5050000))  # tasks waited for 50 ms
    found = condition.read()
    longest_s = time.monotonic() - begin
    assert 100 * 0.05 / longest_s <= found <= 100 * 0.05 / 0.2 * 1.05


def test_pressure_is_never_more_than_all_of_the_time(replay):
    root = replay({PRESSURE: pressure(0)})
    condition = CpuPressure()
    condition.read()
    write_file(root, PRESSURE, pressure(10**9))
    assert condition.read() == 100.0


def test_the_time_before_a_trial_does_not_make_it_invalid():
    assert not CpuPressure().is_breached(90.0, 1.0, 5.0)
    assert CpuPressure().is_breached(1.0, 90.0, 5.0)


@pytest.mark.parametrize("content", ["", "some\n", "some avg10=high total=many\n", "full avg10=1.00 total=5\n"])
def test_a_pressure_file_that_says_nonsense_is_unknown(replay, content):
    replay({PRESSURE: content})
    condition = CpuPressure()
    assert condition.read() is None
    assert "/proc/pressure/cpu" in condition.explain_unknown()


def test_a_limit_that_no_condition_has_is_refused():
    refuse_unknown_limits({})
    refuse_unknown_limits({"temperature_c_max": 70.0, "cpu_pressure_max_percent": 5.0})
    with pytest.raises(WorkerError, match=r"limits\.humidity_percent_max: this worker does not support") as refused:
        refuse_unknown_limits({"temperature_c_max": 70.0, "humidity_percent_max": 60.0})
    assert refused.value.kind == "plan-invalid"


ZONE = "sys/class/thermal/thermal_zone0"


@pytest.mark.parametrize(
    ("said", "celsius"),
    [
        ("48686", 48.686),
        ("48", 48.0),  # kernels of vendors: whole degrees
        ("-12000", -12.0),
        ("149", 149.0),
        ("14", 0.014),
        ("452", 45.2),  # others: tenths
        ("1501", 1.501),
    ],
)
def test_a_temperature_is_in_degrees_whatever_the_kernel_counts(replay, said, celsius):
    replay({f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": f"{said}\n"})
    assert temperature.read_temperature_c() == celsius


@pytest.mark.parametrize(
    ("said", "limits", "celsius"),
    [
        ("452", ["850", "950"], 45.2),
        ("120", ["850"], 12.0),
        ("1200", ["85000", "0"], 1.2),
        ("120", ["85000"], 0.12),
        ("45", ["85"], 45.0),
        ("45", ["0", "-40000"], 45.0),
        ("45200", ["850"], 45.2),
    ],
)
def test_a_sensors_own_limits_tell_the_unit_of_its_readings(replay, said, limits, celsius):
    trips = {f"{ZONE}/trip_point_{index}_temp": f"{limit}\n" for index, limit in enumerate(limits)}
    replay(dict(trips, **{f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": f"{said}\n"}))
    assert temperature.read_temperature_c() == celsius
    place = "sys/class/hwmon/hwmon0"
    chip = {f"{place}/name": "k10temp\n", f"{place}/temp1_input": f"{said}\n"}
    replay(dict(chip, **{f"{place}/temp1_{end}": f"{limit}\n" for end, limit in zip(("crit", "max"), limits)}))
    assert temperature.read_temperature_c() == celsius


@pytest.mark.parametrize("said", ["-273150", "255000", "-2147483648", "4294967295"])
def test_an_implausible_temperature_is_left_out_and_its_reason_is_on_record(replay, said):
    tree = {f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": f"{said}\n"}
    replay(tree)
    found = ConditionWatch({"temperature_c_max": 70.0}).read()
    assert found["temperature_c"] is None
    assert "thermal_zone0 (cpu-thermal) says" in found["unknown"]["temperature_c"]
    assert "outside of -40 to 150 °C" in found["discarded"]["temperature_c"]


def test_a_plausible_sensor_beside_an_implausible_one_is_read(replay):
    other = {"sys/class/thermal/thermal_zone1/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone1/temp": "61000\n"}
    replay(dict(other, **{f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": "255000\n"}))
    found = ConditionWatch({}).read()
    assert found["temperature_c"] == 61.0
    assert "temperature_c" not in found["unknown"]
    assert "thermal_zone0" in found["discarded"]["temperature_c"]


def test_a_clock_in_another_unit_is_left_out(replay):
    policy = "sys/devices/system/cpu/cpufreq/policy0"
    replay({f"{policy}/scaling_cur_freq": "1800000000\n", f"{policy}/cpuinfo_max_freq": "1800000\n"})
    found = ConditionWatch({}).read()
    assert found["cpu_mhz"] is None
    assert "says 1.8e+06 MHz, outside of 1 to 10000 MHz" in found["discarded"]["cpu_mhz"]


def test_a_device_whose_sensors_all_make_sense_has_nothing_on_record(replay):
    replay(RASPBERRY_PI_4)
    assert "discarded" not in ConditionWatch({}).read()


def test_a_sensor_that_is_switched_off_is_not_asked(replay):
    place = "sys/class/hwmon/hwmon1"
    tree = {f"{place}/name": "k10temp\n", f"{place}/temp1_input": "45000\n", f"{place}/temp2_input": "99000\n"}
    replay(dict(tree, **{f"{place}/temp2_enable": "0\n"}))
    assert temperature.read_temperature_c() == 45.0


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({APEX + "temp": "84999\n", APEX + "trip_point0_temp": "85000\n"}, False),
        ({APEX + "temp": "85000\n", APEX + "trip_point0_temp": "85000\n"}, True),
        ({APEX + "temp": "84999\n"}, None),
        ({APEX + "temp": "90000\n", APEX + "trip_point0_temp": "0\n"}, None),
        (
            {
                APEX + "temp": "50000\n",
                APEX + "trip_point0_temp": "85000\n",
                "sys/class/apex/apex_1/temp": "99000\n",
                "sys/class/apex/apex_1/trip_point0_temp": "85000\n",
            },
            True,
        ),
    ],
)
def test_a_coral_is_judged_by_its_first_trip_point(replay, tree, expected):
    replay(tree)
    condition = condition_of("tpu_throttled")
    before = condition.read()
    assert before is expected
    assert condition.is_breached(False, before, None) is (expected is True)


def test_a_sensor_whose_driver_reports_a_fault_is_not_believed(replay):
    place = "sys/class/hwmon/hwmon1"
    tree = {f"{place}/name": "coretemp\n", f"{place}/temp1_input": "45000\n", f"{place}/temp2_input": "99000\n"}
    replay(dict(tree, **{f"{place}/temp2_fault": "1\n"}))
    found = ConditionWatch({}).read()
    assert found["temperature_c"] == 45.0
    assert "temp2_input: the driver reports a fault" in found["discarded"]["temperature_c"]


@pytest.mark.parametrize(("second", "celsius"), [("Tdie", 45.0), ("Tccd1", 72.0)])
def test_a_temperature_that_steers_the_fan_is_not_that_of_the_processor(replay, second, celsius):
    place = "sys/class/hwmon/hwmon1"
    labels = {f"{place}/temp1_label": "Tctl\n", f"{place}/temp2_label": f"{second}\n"}
    replay(
        dict(
            labels,
            **{f"{place}/name": "k10temp\n", f"{place}/temp1_input": "72000\n", f"{place}/temp2_input": "45000\n"},
        )
    )
    assert temperature.read_temperature_c() == celsius
