from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.device import CACHE_BYTES_MAX, USUAL_LIMITS, Device, Limits, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.recovery import PowerCycle, Recovery
from orchestrator.inventory.files import load_inventory
from orchestrator.resources import shipped

USUAL = Limits(**dict[str, Any](USUAL_LIMITS))

GOOD = Path(__file__).parents[2] / "contract" / "specs" / "good" / "inventories"


def load(tmp_path: Path, text: str) -> Inventory:
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    return load_inventory([path])


def good(name: str) -> Inventory:
    return load_inventory([GOOD / f"{name}.yaml"])


def test_the_example_of_the_documentation_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    devices = good("issue-example").devices
    source = GOOD / "issue-example.yaml"
    local = Device("local", TransportKind.LOCAL, tags={"class": "x86"}, source=f"{source}:3")
    assert devices["local"] == replace(local, limits=USUAL)
    assert devices["pi-03"] == Device(
        "pi-03",
        TransportKind.SSH,
        host="10.0.0.13",
        port=22,
        user="pi",
        identity_file="/home/ann/.ssh/lab",
        jump="gateway-1",
        state_dir="~/.cache/benchfleet",
        tags={"class": "rpi", "ram": "4g"},
        limits=replace(USUAL, temperature_c_max=75, trial_timeout_s=600),
        source=f"{source}:4",
    )


def test_a_device_without_a_host_is_an_ssh_alias() -> None:
    devices = good("names-alone").devices
    assert [(device.host, device.user, device.port) for device in devices.values()] == [
        ("pi-03", None, None),
        ("pi-04", None, None),
    ]


def test_tags_are_kept_as_they_were_written() -> None:
    assert good("tags-as-written").devices["a"].tags == {
        "os": "22.10",
        "python": "3.10",
        "slot": "007",
        "gpu": "no",
        "ready": "true",
        "rack": "12",
    }


def test_a_local_device_takes_no_address_from_the_defaults() -> None:
    device = good("local-below-ssh-defaults").devices["local"]
    assert (device.host, device.user, device.port, device.jump, device.identity_file) == (None,) * 5
    assert device.python == "python3"


def test_an_explicit_null_is_no_default() -> None:
    device = good("nulls-override-defaults").devices["a"]
    assert (device.user, device.jump, device.limits) == (None, None, USUAL)


def test_sizes_may_have_units() -> None:
    limits = [device.limits.memory_bytes_max for device in good("sizes").devices.values()]
    assert limits == [512 * 1024**2, 1024**3, 1000]


def test_a_device_carries_its_whole_way() -> None:
    inventory = good("jumps")
    gateway = inventory.disabled["gw"]
    assert inventory.devices["pi"].jump_device == gateway
    assert gateway.jump_device == inventory.devices["edge"]
    assert (inventory.devices["far"].jump, inventory.devices["far"].jump_device) == ("ops@bastion:2222", None)
    assert (inventory.devices["direct"].jump, inventory.devices["direct"].jump_device) == ("none", None)


def test_a_default_jump_host_does_not_jump_through_itself(tmp_path: Path) -> None:
    devices = load(tmp_path, "defaults: {jump: gw}\ndevices:\n  gw: {host: 10.0.0.1}\n  pi: {}\n").devices
    assert devices["gw"].jump is None
    assert devices["pi"].jump_device == devices["gw"]


def test_tags_and_limits_of_a_device_are_laid_over_the_defaults(tmp_path: Path) -> None:
    text = """
defaults:
  tags: {site: north, class: rpi}
  limits: {temperature_c_max: 75, cpu_pressure_max_percent: 10, cooldown_s_max: 30}
devices:
  a: {tags: {class: coral}, limits: {temperature_c_max: 80}}
"""
    device = load(tmp_path, text).devices["a"]
    assert device.tags == {"site": "north", "class": "coral"}
    assert device.limits == replace(USUAL, temperature_c_max=80, cpu_pressure_max_percent=10, cooldown_s_max=30)


def test_conditions_have_usual_limits_that_null_switches_off(tmp_path: Path) -> None:
    text = """
devices:
  quiet: {}
  off: {limits: {other_load_max_percent: null}}
  own: {limits: {other_load_max_percent: 5}}
  played: {exclusive: false, limits: {cpu_steal_max_percent: 3}}
"""
    devices = load(tmp_path, text).devices
    found = {name: {key: getattr(device.limits, key) for key in USUAL_LIMITS} for name, device in devices.items()}
    nothing = dict.fromkeys(USUAL_LIMITS)
    assert found == {
        "quiet": dict(USUAL_LIMITS),
        "off": {**USUAL_LIMITS, "other_load_max_percent": None},
        "own": {**USUAL_LIMITS, "other_load_max_percent": 5},
        "played": {**nothing, "cpu_steal_max_percent": 3},
    }
    assert set(USUAL_LIMITS) == {"cpu_pressure_max_percent", "cpu_steal_max_percent", "other_load_max_percent"}


def test_bounds_of_cache_disk_and_clock_have_defaults_or_none(tmp_path: Path) -> None:
    text = """
defaults: {limits: {disk_free_bytes_min: 1G, cache_bytes_max: 2G}}
devices:
  a: {limits: {cache_bytes_max: null, clock_offset_s_max: 2.5}}
  b: {limits: {disk_free_bytes_min: null}}
"""
    devices = load(tmp_path, text).devices
    assert devices["a"].limits == replace(
        USUAL, cache_bytes_max=CACHE_BYTES_MAX, disk_free_bytes_min=1 << 30, clock_offset_s_max=2.5
    )
    assert devices["b"].limits == replace(USUAL, cache_bytes_max=2 << 30)
    assert CACHE_BYTES_MAX == 4 << 30


def test_a_relative_key_file_starts_from_the_inventory(tmp_path: Path) -> None:
    device = load(tmp_path, "devices:\n  a: {identity_file: keys/lab}\n").devices["a"]
    assert device.identity_file == str(tmp_path / "keys/lab")


def test_disabled_files_and_devices_are_not_selected() -> None:
    assert good("disabled-file") == Inventory({}, {})
    inventory = good("disabled-device")
    assert (list(inventory.devices), list(inventory.disabled)) == (["local"], ["pi"])


def folder_of(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "inventory"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_the_files_of_a_folder_are_merged_by_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, b="devices: {pi: {jump: gw}}", a="devices: {gw: {host: 10.0.0.1}}")
    (folder / "notes.txt").write_text("not an inventory")
    (folder / ".hidden.yaml").write_text("neither: this")
    (folder / "c.yml").write_text("devices: {coral: {}}")
    inventory = load_inventory([folder])
    assert list(inventory.devices) == ["gw", "pi", "coral"]
    assert inventory.devices["pi"].jump_device == inventory.devices["gw"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a="devices: {pi: {}}")
    assert list(load_inventory([folder, folder / "a.yaml"]).devices) == ["pi"]


def test_defaults_hold_for_their_own_file_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a="defaults: {user: pi}\ndevices: {a: {}}", b="devices: {b: {}}")
    assert [device.user for device in load_inventory([folder]).devices.values()] == ["pi", None]


def test_a_name_in_two_files_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, a="devices:\n  local: {transport: local}\n  pi: {}\n", b="devices:\n  pi: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_inventory([Path("inventory")])
    assert caught.value.message == "inventory/b.yaml:2: device 'pi' is already declared at inventory/a.yaml:3"


def test_a_name_may_be_in_a_disabled_file_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a="devices: {pi: {}}", b="disabled: true\ndevices: {pi: {}}")
    assert list(load_inventory([folder]).devices) == ["pi"]


def test_a_disabled_device_still_owns_its_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a="devices: {pi: {disabled: true}}", b="devices: {pi: {}}")
    with pytest.raises(ConfigError, match="already declared"):
        load_inventory([folder])


def test_a_missing_inventory_says_how_to_get_one(tmp_path: Path) -> None:
    for path in (tmp_path / "inventory", tmp_path / "lab.yaml"):
        with pytest.raises(ConfigError, match="no such inventory file or folder") as caught:
            load_inventory([path])
        assert "benchfleet init DIR" in (caught.value.hint or "")


def test_an_inventory_that_cannot_be_looked_at_says_so(tmp_path: Path) -> None:
    nowhere = tmp_path / ("x" * 300)  # longer than a file's name may be, so that no user may look there
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load_inventory([nowhere])


def test_a_folder_without_inventory_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no inventory file \(\*\.yaml\) in this folder"):
        load_inventory([folder_of(tmp_path)])


def test_the_shipped_inventory_has_this_machine_and_nothing_else() -> None:
    inventory = load_inventory([shipped("inventory")])
    assert [device.name for device in inventory.select("all")] == ["local"]


def test_the_example_lab_works_once_it_is_enabled(tmp_path: Path) -> None:
    text = (shipped("inventory") / "example-lab.yaml").read_text().replace("\ndisabled: true\n", "\n")
    inventory = load(tmp_path, text)
    assert {device.tags["class"] for device in inventory.devices.values()} == {"x86", "server", "rpi", "coral"}
    assert {device.tags.get("bits") for device in inventory.select("class=rpi")} == {"32", "64"}
    assert list(inventory.disabled) == ["gateway-1"]
    assert inventory.devices["coral-1"].jump_device == inventory.disabled["gateway-1"]


def test_how_far_to_go_for_a_device_is_laid_over_the_defaults() -> None:
    devices = good("recovery").devices
    reboot = ("sudo", "-n", "reboot")
    assert devices["local"].recovery == Recovery(connect_retries=2, quarantine=True), "this machine is never rebooted"
    assert devices["pi-03"].recovery == Recovery(
        reboot=reboot, power_cycle=PowerCycle(on=("pdu", "on", "3"), off=("pdu", "off", "3"), off_s=2.0)
    )
    assert devices["pi-04"].recovery == Recovery(
        connect_retries=2, quarantine=True, restarts_max=0, reconnect_s_max=0, boot_s_max=60
    )


@pytest.mark.timeout(30)
def test_a_pipe_in_a_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("devices:\n  pi: {}\n")
    os.mkfifo(tmp_path / "b.yaml")
    with pytest.raises(ConfigError, match=r"b\.yaml: not a regular file"):
        load_inventory([tmp_path])


def test_a_node_of_a_cluster_arrives_with_labels_as_written(tmp_path: Path) -> None:
    text = """
defaults: {site: berlin, user: lab, recovery: {reboot: [sudo, reboot]}}
devices:
  gpu-1: {transport: ray, node: {host: gpu-1, rack: 04}, gpu: 1}
  desk: {transport: local, gpu: 0}
  board: {gpu: 2}
"""
    devices = load(tmp_path, text).devices
    node = devices["gpu-1"]
    assert (node.transport, node.node, node.gpu) == (TransportKind.RAY, {"host": "gpu-1", "rack": "04"}, 1)
    assert (node.site, node.host, node.user, node.recovery.reboot) == ("berlin", None, None, ())
    assert node.gpu_variables == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert [(devices[name].gpu, devices[name].node) for name in ("desk", "board")] == [(0, {}), (2, {})]


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("{transport: ray}", "does not say which node of the Ray cluster it is"),
        ("{transport: ray, node: {}}", "no label is named"),
        ("{transport: ray, node: {'a b': c}}", "cannot be a label of a Ray node"),
        ("{transport: ray, node: {a: [b]}}", "expected text"),
        ("{transport: ray, node: {a: b}, host: c}", "a ray device has no 'host'"),
        ("{transport: ray, node: {a: b}, recovery: {reboot: [reboot]}}", "'reboot' would end the gateway"),
        ("{node: {a: b}}", "'node' is for `transport: ray` alone"),
        ("{gpu: -1}", "gpu"),
        ("{gpu: two}", "gpu"),
    ],
)
def test_what_contradicts_a_node_is_refused_with_its_line(tmp_path: Path, device: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, f"devices:\n  one: {device}\n")
    assert str(refused.value).startswith(f"{tmp_path}/lab.yaml:2: ")
    assert words in str(refused.value)


def test_nobody_jumps_through_a_node(tmp_path: Path) -> None:
    text = "devices:\n  gpu-1: {transport: ray, node: {a: b}}\n  pi: {jump: gpu-1}\n"
    with pytest.raises(ConfigError, match="cannot jump through gpu-1, which is a node of a Ray cluster"):
        load(tmp_path, text)
