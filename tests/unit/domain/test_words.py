"""The small pure functions that others build on: processor lists, near words, inventories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.cpus import CPU_MAX, parse_cpus
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0", (0,)), ("0-3", (0, 1, 2, 3)), ("3,0-1", (0, 1, 3)), ("1, 1,0-1", (0, 1)), (f"{CPU_MAX}", (CPU_MAX,))],
)
def test_processors_are_listed_as_the_kernel_lists_them(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "0,,1", "0-3-5", "0x3", "1.0", "4096", "0-99999", "٣"])
def test_what_is_no_list_of_processors_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="process"):
        parse_cpus(text)


@given(st.sets(st.integers(0, 63), min_size=1))
def test_any_set_of_processors_survives_being_written(cpus: set[int]) -> None:
    assert parse_cpus(",".join(map(str, cpus))) == tuple(sorted(cpus))


def test_the_nearest_word_comes_first_whatever_its_case() -> None:
    assert nearest("TRAILS", ["timeouts", "trials", "Trial"], count=2) == ("trials", "Trial")
    assert nearest("fp31", ["fp16", "fp32"]) == ("fp32",)
    assert nearest("zzz", ["trials"]) == ()


def test_a_hint_names_the_nearest_word_or_all_of_them() -> None:
    assert did_you_mean("trails", ["trials", "order"]) == "did you mean 'trials'?"
    assert did_you_mean("zzz", ["trials", "order"]) == "known: trials, order"
    assert did_you_mean("zzz", [f"w{number}" for number in range(40)], limit=2) == "known: w0, w1, … (40 in all)"
    assert did_you_mean("zzz", []) == "there is none"


LAB = Inventory(
    {"pi-03": Device("pi-03", TransportKind.SSH)},
    {"gateway-1": Device("gateway-1", TransportKind.SSH, source="inventory/lab.yaml:3")},
)


def test_a_disabled_device_is_never_selected() -> None:
    assert [device.name for device in LAB.select()] == ["pi-03"]
    with pytest.raises(ConfigError, match="'gateway-1' is disabled") as caught:
        LAB.select("gateway-1")
    assert caught.value.hint == "remove `disabled: true` at inventory/lab.yaml:3"


def test_a_device_is_found_by_its_exact_name_even_if_disabled() -> None:
    assert LAB.device("pi-03").name == "pi-03"
    assert LAB.device("gateway-1").name == "gateway-1"
    with pytest.raises(ConfigError, match="no device 'gateway-2'") as caught:
        LAB.device("gateway-2")
    assert caught.value.hint == "did you mean 'gateway-1'?"
