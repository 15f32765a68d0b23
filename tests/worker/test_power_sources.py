"""Every power source on fake trees: what it reads, what it refuses, and what the facts say of it."""

import os
import shutil
import tempfile

import pytest

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing import power
from device_worker.sensing.power import hwmon, rails, rapl
from device_worker.sensing.power.base import Lost, PowerSource, Unreadable
from device_worker.serving.facts import collect_facts
from device_worker.system.patient_reader import PatientReader
from fixture_trees import RASPBERRY_PI_4, write_file, write_tree
from power_fakes import FAKE_INA219, FAKE_JETSON_INA3221, FAKE_RAPL, FAKE_SLOW_INA219, HWMON, RAPL


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """A function that lets a tree stand for "/"."""

    def replay_tree(tree):
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "root", tree))
        return tmp_path / "root"

    return replay_tree


def without(tree, *names):
    return {name: content for name, content in tree.items() if name not in names}


SOURCES = [
    pytest.param(rapl, FAKE_RAPL, "rapl", SourceKind.ENERGY_COUNTER, 0, id="rapl"),
    pytest.param(
        hwmon, FAKE_JETSON_INA3221, "hwmon ina3221 VDD_IN", SourceKind.POWER_GAUGE, 2500000, id="hwmon-ina3221"
    ),
    pytest.param(hwmon, FAKE_INA219, "hwmon ina219", SourceKind.POWER_GAUGE, 3120000, id="hwmon-ina219"),
    pytest.param(hwmon, FAKE_SLOW_INA219, "hwmon ina219", SourceKind.POWER_GAUGE, 3120000, id="hwmon-slow"),
]


@pytest.mark.parametrize(("module", "tree", "name", "kind", "value"), SOURCES)
def test_a_source_is_opened_named_and_read(replay, module, tree, name, kind, value):
    replay(tree)
    source = module.open_source()
    assert isinstance(source, PowerSource)
    assert (source.name, source.kind, source.read()) == (name, kind, value)
    assert source.period_s >= 0.016, "nothing is read more often than a trial of a second needs"
    assert power.open_source().name == name
    (described,) = power.describe_sources(PatientReader())
    assert described == {
        "name": name,
        "readable": True,
        "reason": None,
        "rate_hz": 1 / source.period_s,
        "unit": "uJ" if kind == SourceKind.ENERGY_COUNTER else "uW",
        "is_estimate": source.is_estimate,
        "accuracy_ratio": source.accuracy_ratio,
    }
    assert source.resolution > 0
    assert 0 < source.accuracy_ratio < 0.2


@pytest.mark.parametrize(("module", "tree", "name", "kind", "value"), SOURCES)
def test_a_source_that_vanishes_says_nothing(replay, module, tree, name, kind, value):
    root = replay(tree)
    source = module.open_source()
    shutil.rmtree(str(root))
    assert source.read() is None
    assert module.open_source() is None


@pytest.mark.parametrize("module", [rapl, hwmon])
def test_a_device_without_the_hardware_has_no_such_source(replay, module):
    replay(RASPBERRY_PI_4)
    assert module.open_source() is None


def test_a_device_without_any_hardware_has_no_source(replay, tmp_path):
    replay(RASPBERRY_PI_4)
    assert power.open_source() is None
    assert collect_facts(str(tmp_path))["power_sources"] == []


def test_a_source_is_chosen_by_name(replay):
    replay(dict(FAKE_INA219, **FAKE_RAPL))
    reader = PatientReader()
    assert power.find_source(reader, ["hwmon", "rapl"])[0].name == "hwmon ina219"
    assert power.find_source(reader, ["pmic", "rapl"])[0].name == "rapl"
    assert power.find_source(reader, ["pmic", "lamp"]) == (
        None, "pmic: the device has none; this worker knows no power source lamp",
    )  # fmt: skip


def test_a_counter_is_preferred_to_a_gauge(replay):
    replay(dict(FAKE_INA219, **FAKE_RAPL))
    assert power.open_source().name == "rapl"
    assert [found["name"] for found in power.describe_sources(PatientReader())] == ["rapl", "hwmon ina219"]


def energies_of(root, readings, range_uj="1000\n"):
    """Return what the source says while one package's counter goes through readings."""
    write_file(root, f"{RAPL}/intel-rapl:0/max_energy_range_uj", range_uj)
    write_file(root, f"{RAPL}/intel-rapl:0/energy_uj", "900\n")
    source = rapl.open_source()
    said = []
    for reading in readings:
        write_file(root, f"{RAPL}/intel-rapl:0/energy_uj", f"{reading}\n")
        try:
            said.append(source.read())
        except Lost as error:
            said.append(str(error))
    return said


def test_packages_are_added_up_and_nothing_else(replay):
    root = replay(FAKE_RAPL)
    source = rapl.open_source()
    write_file(root, f"{RAPL}/intel-rapl:0/energy_uj", "5500100\n")
    write_file(root, f"{RAPL}/intel-rapl:1/energy_uj", "60\n")
    for other in ("intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        write_file(root, f"{RAPL}/{other}/energy_uj", "99999999\n")
    assert source.read() == 120


def test_a_counter_goes_on_beyond_its_range(replay):
    assert energies_of(replay(FAKE_RAPL), [950, 50, 400, 800, 100]) == [50, 150, 500, 900, 1200]


def test_a_counter_that_is_set_back_is_not_taken_for_one_that_wrapped(replay):
    reason = "the counter of package-0 jumped back from 950 to 900 microjoules"
    assert energies_of(replay(FAKE_RAPL), [950, 900, 910]) == [50, reason, 60]


def test_a_counter_without_a_range_cannot_wrap(replay):
    reason = "the counter of package-0 jumped back from 950 to 50 microjoules"
    assert energies_of(replay(FAKE_RAPL), [950, 50, 60], range_uj="") == [50, reason, 60]


def test_the_memory_of_each_package_is_added_once(replay):
    memory = {
        f"{RAPL}/intel-rapl:0:1/name": "dram\n",
        f"{RAPL}/intel-rapl:0:1/max_energy_range_uj": "65532610987\n",
        f"{RAPL}/intel-rapl:0:1/energy_uj": "1000\n",
        f"{RAPL}/intel-rapl-mmio:0:0/name": "dram\n",
        f"{RAPL}/intel-rapl-mmio:0:0/energy_uj": "1000\n",
    }
    root = replay(dict(FAKE_RAPL, **memory))
    source = rapl.open_source()
    for domain in ("intel-rapl:0:1", "intel-rapl-mmio:0:0"):
        write_file(root, f"{RAPL}/{domain}/energy_uj", "1250\n")
    assert (source.name, source.read()) == ("rapl with dram", 250)


@pytest.mark.parametrize("content", ["", "n/a\n"])
def test_packages_of_which_one_says_nothing_are_not_half_counted(replay, content):
    replay(dict(FAKE_RAPL, **{f"{RAPL}/intel-rapl:1/energy_uj": content}))
    with pytest.raises(Unreadable, match="intel-rapl:1/energy_uj holds no number"):
        rapl.open_source()


def test_a_package_without_a_counter_is_refused(replay):
    replay(without(FAKE_RAPL, f"{RAPL}/intel-rapl:1/energy_uj"))
    with pytest.raises(Unreadable, match="intel-rapl:1/energy_uj: No such file"):
        rapl.open_source()


@pytest.fixture
def nobody(monkeypatch):
    """An ordinary user's view of a tree whose counters only root may read, as the kernel ships them."""
    root = tempfile.mkdtemp()  # where an ordinary user may go, unlike tmp_path
    os.chmod(root, 0o755)
    write_tree(root, dict(FAKE_RAPL, **FAKE_JETSON_INA3221))
    for domain in ("intel-rapl:0", "intel-rapl:1"):
        os.chmod(os.path.join(root, RAPL, domain, "energy_uj"), 0o400 if os.geteuid() == 0 else 0)
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", root)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)
    shutil.rmtree(root)


def test_a_counter_that_only_root_may_read_is_reported_and_passed_over(nobody):
    assert power.open_source().name == "hwmon ina3221 VDD_IN"
    reason = "this user may not read /sys/class/powercap/intel-rapl:0/energy_uj"
    refused, used = power.describe_sources(PatientReader())
    assert refused == {"name": "rapl", "readable": False, "reason": reason}
    assert (used["name"], used["readable"], used["rate_hz"]) == ("hwmon ina3221 VDD_IN", True, 25.0)


def test_rails_of_which_none_is_the_supply_are_not_added_up(replay):
    replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/in1_label": "VDD_GPU_SOC\n"}))
    assert power.open_source() is None
    (found,) = power.describe_sources(PatientReader())
    assert (found["name"], found["readable"]) == ("hwmon", False)
    assert found["reason"].endswith("supply: ina3221 VDD_GPU_SOC, ina3221 VDD_CPU_GPU_CV, ina3221 VDD_SOC")


def test_a_rail_that_is_switched_off_is_none(replay):
    replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/in1_enable": "0\n", f"{HWMON}/hwmon1/in2_enable": "0\n"}))
    assert hwmon.open_source().name == "hwmon ina3221 VDD_SOC"


@pytest.mark.parametrize(
    ("update_interval", "period_s", "is_mean"),
    [("7\n", 0.04, False), ("140\n", 0.14, True), ("500\n", 0.5, True), ("", 0.04, False)],
)
def test_a_monitor_that_averages_long_is_asked_less_often(replay, update_interval, period_s, is_mean):
    replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/update_interval": update_interval}))
    source = hwmon.open_source()
    assert (source.period_s, source.is_mean) == (pytest.approx(period_s), is_mean)


def test_where_there_is_no_source_it_is_said_why(replay):
    replay(RASPBERRY_PI_4)
    assert power.find_source(PatientReader()) == (None, "the device has no power source")
    replay(dict(FAKE_RAPL, **{f"{RAPL}/intel-rapl:1/energy_uj": "n/a\n"}))
    reason = "rapl: /sys/class/powercap/intel-rapl:1/energy_uj holds no number"
    assert power.find_source(PatientReader()) == (None, reason)


@pytest.mark.parametrize(
    ("content", "reason"), [("-1\n", "curr1_input is negative"), ("\n", "curr1_input holds no number")]
)
def test_a_gauge_that_says_nonsense_is_refused(replay, content, reason):
    replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/curr1_input": content}))
    assert power.open_source() is None
    assert power.describe_sources(PatientReader())[0]["reason"].endswith(reason)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("in1_input", "0\n", "says 0 W for a board that is on"),
        ("curr1_input", "0\n", "says 0 W for a board that is on"),
        ("curr1_fault", "1\n", "curr1_fault: the driver reports a fault of the sensor"),
    ],
)
def test_a_rail_that_is_not_measured_is_no_board_without_power(replay, file, content, reason):
    replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/{file}": content}))
    assert power.open_source() is None
    assert power.describe_sources(PatientReader())[0]["reason"].endswith(reason)


def rail(monitor, number, label, millivolts, milliamperes, enable=1):
    place = f"{HWMON}/{monitor}"
    return {
        f"{place}/in{number}_label": f"{label}\n",
        f"{place}/in{number}_input": f"{millivolts}\n",
        f"{place}/curr{number}_input": f"{milliamperes}\n",
        f"{place}/in{number}_enable": f"{enable}\n",
    }


@pytest.mark.parametrize("nothing", ["NC", "nc", "N/C", "not connected"])
def test_a_rail_that_is_not_connected_is_none(replay, nothing):
    tree = {f"{HWMON}/hwmon3/name": "ina3221\n", **rail("hwmon3", 1, nothing, 0, 0), **rail("hwmon3", 3, nothing, 0, 0)}
    replay(tree)
    assert hwmon.open_source() is None
    replay(dict(tree, **rail("hwmon3", 2, "VDD_BOARD", 12000, 500)))
    source = hwmon.open_source()
    assert (source.name, source.read()) == ("hwmon ina3221 VDD_BOARD", 6000000)


SUPPLY_BY_DEVICE = {
    f"{HWMON}/hwmon1/name": "ina238\n",
    f"{HWMON}/hwmon1/label": "VIN\n",
    f"{HWMON}/hwmon1/in1_input": "20000\n",
    f"{HWMON}/hwmon1/curr1_input": "1500\n",
    f"{HWMON}/hwmon1/power1_input": "30000000\n",
    f"{HWMON}/hwmon2/name": "ina3221\n",
    **rail("hwmon2", 1, "VDD_GPU", 20000, 300),
    **rail("hwmon2", 2, "VDD_CPU", 20000, 200),
}


def test_the_label_of_a_device_names_its_only_channel(replay):
    replay(SUPPLY_BY_DEVICE)
    source = hwmon.open_source()
    assert (source.name, source.read()) == ("hwmon ina238 VIN", 30000000)


def test_the_label_of_a_device_names_none_of_several_channels(replay):
    tree = {f"{HWMON}/hwmon2/name": "ina3221\n", f"{HWMON}/hwmon2/label": "VIN\n"}
    channels = {**rail("hwmon2", 1, "VDD_GPU", 20000, 300), **rail("hwmon2", 2, "VDD_CPU", 20000, 200)}
    replay(dict(tree, **channels))
    assert power.open_source() is None


@pytest.mark.parametrize("switch", ["in1_enable", "curr1_enable", "power1_enable"])
def test_a_channel_that_is_switched_off_by_any_of_its_switches_is_none(replay, switch):
    replay(dict(SUPPLY_BY_DEVICE, **{f"{HWMON}/hwmon1/{switch}": "0\n"}))
    assert power.open_source() is None
    assert "ina238" not in power.describe_sources(PatientReader())[0]["reason"]


def test_a_vendors_milliwatts_are_told_by_volts_and_amperes(replay):
    replay(dict(FAKE_INA219, **{f"{HWMON}/hwmon0/power1_input": "3120\n"}))
    assert hwmon.open_source().read() == 3120000


@pytest.mark.parametrize("power_uw", [9000000, 800000])
def test_a_load_that_changes_between_the_files_is_no_contradiction(replay, power_uw):
    replay(dict(FAKE_INA219, **{f"{HWMON}/hwmon0/power1_input": f"{power_uw}\n"}))
    assert hwmon.open_source().read() == power_uw


def test_a_power_that_contradicts_volts_and_amperes_is_refused(replay):
    replay(dict(FAKE_INA219, **{f"{HWMON}/hwmon0/power1_input": "60000\n"}))
    assert power.open_source() is None
    assert "in which unit is the power?" in power.describe_sources(PatientReader())[0]["reason"]


def test_a_power_that_no_device_takes_is_refused(replay):
    wild = {f"{HWMON}/hwmon0/name": "ina219\n", f"{HWMON}/hwmon0/power1_input": "99000000000\n"}
    replay(wild)
    assert power.open_source() is None
    assert "says 99000 W, outside of 0 to 20000 W" in power.describe_sources(PatientReader())[0]["reason"]


L4T = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
JETSON_NANO_OF_L4T = {
    "sys/bus/i2c/drivers/ina3221x/uevent": "\n",
    f"{L4T}/rail_name_0": "POM_5V_IN\n",
    f"{L4T}/in_power0_input": "2512\n",
    f"{L4T}/rail_name_1": "POM_5V_GPU\n",
    f"{L4T}/in_power1_input": "82\n",
    f"{L4T}/rail_name_2": "POM_5V_CPU\n",
    f"{L4T}/in_power2_input": "701\n",
}


def test_a_jetson_of_older_vendor_kernels_names_rails_and_counts_milliwatts(replay):
    replay(JETSON_NANO_OF_L4T)
    source = power.open_source()
    assert (source.name, source.kind, source.read()) == (
        "ina3221x ina3221 POM_5V_IN", SourceKind.POWER_GAUGE, 2512000,
    )  # fmt: skip


def test_an_offset_below_zero_at_the_first_look_is_no_reason_to_refuse(replay):
    root = replay(dict(FAKE_JETSON_INA3221, **{f"{HWMON}/hwmon1/curr1_input": "-8\n"}))
    looks = []

    def wait(_seconds):
        looks.append(write_file(root, f"{HWMON}/hwmon1/curr1_input", "300\n"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rails.time, "sleep", wait)
        assert hwmon.open_source().read() == 1500000
    assert len(looks) == 1
