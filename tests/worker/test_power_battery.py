"""The battery of a device, on trees of the kernel's power_supply class."""

import pytest

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing import power
from device_worker.sensing.power import battery
from device_worker.sensing.power.base import Lost, Unreadable
from fixture_trees import write_file, write_tree

SUPPLY = "sys/class/power_supply"
TREE = {
    f"{SUPPLY}/AC/type": "Mains\n",
    f"{SUPPLY}/BAT0/type": "Battery\n",
    f"{SUPPLY}/BAT0/status": "Discharging\n",
    f"{SUPPLY}/BAT0/power_now": "7450000\n",
    f"{SUPPLY}/hidpp_battery_0/type": "Battery\n",
    f"{SUPPLY}/hidpp_battery_0/scope": "Device\n",
    f"{SUPPLY}/hidpp_battery_0/status": "Discharging\n",
}


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path, TREE))
    return tmp_path


def test_the_battery_that_feeds_the_device_is_read(laptop):
    source = power.open_source()
    assert (source.name, source.kind, source.read()) == ("battery BAT0", SourceKind.POWER_GAUGE, 7450000)
    assert (source.period_s, source.is_mean, source.is_estimate) == (1.0, True, False)


def test_amperes_and_volts_stand_for_a_missing_power_whatever_their_sign(laptop):
    (laptop / SUPPLY / "BAT0" / "power_now").unlink()
    write_file(laptop, f"{SUPPLY}/BAT0/current_now", "-1500000\n")
    write_file(laptop, f"{SUPPLY}/BAT0/voltage_now", "8000000\n")
    assert battery.open_source().read() == 12000000


def test_a_battery_that_is_charged_feeds_nobody(laptop):
    source = battery.open_source()
    write_file(laptop, f"{SUPPLY}/BAT0/status", "Charging\n")
    with pytest.raises(Lost, match="Charging"):
        source.read()
    with pytest.raises(Unreadable, match="Charging"):
        battery.open_source()


def test_a_battery_without_figures_says_so(laptop):
    (laptop / SUPPLY / "BAT0" / "power_now").unlink()
    with pytest.raises(Unreadable, match="power_now: No such file"):
        battery.open_source()


def test_of_two_batteries_nobody_knows_which_one(laptop):
    write_tree(laptop, {name.replace("BAT0", "BAT1"): content for name, content in TREE.items()})
    with pytest.raises(Unreadable, match="BAT0, BAT1"):
        battery.open_source()


def test_the_battery_of_a_mouse_is_none(laptop):
    write_file(laptop, f"{SUPPLY}/BAT0/scope", "Device\n")
    assert battery.open_source() is None
