"""Fast and slow processors: what a plan says of cells that may run on either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.processors import Processors
from orchestrator.domain.sweep import Setting
from tests.unit.domain.planning import SWEEP, inputs

BOARD: dict[str, Any] = {
    "cpu_count": 8,
    "cpus_present": "0-7",
    "cpus_online": "0-7",
    "cpus_allowed": "0-7",
    "cpus_usable": "0-7",
    "cpu_kinds": [
        {"cpus": "4-7", "name": None, "capacity": 1024, "mhz_max": 2352.0},
        {"cpus": "0-3", "name": None, "capacity": 414, "mhz_max": 1800},
    ],
}
FAST, SLOW = "fast 4-7 (up to 2352 MHz)", "slow 0-3 (up to 1800 MHz)"
EITHER = "cells without cpus run on processors of either kind, as its kernel likes: "


def mixed(facts: dict[str, Any], *cpus: Setting, allow: tuple[str, ...] = ("cpus",)) -> tuple[str, ...]:
    asked = inputs(replace(SWEEP, matrix={"cpus": cpus} if cpus else {"threads": (1, 2)}), facts=Facts(facts))
    return plan_device(replace(asked, device=replace(asked.device, allow=allow))).mixed


def test_unpinned_cells_on_a_hybrid_board_are_told_once() -> None:
    assert mixed(BOARD) == (f"{EITHER}{FAST}, {SLOW}; pin them by cpus",)


def test_pinning_that_the_inventory_forbids_is_no_remedy() -> None:
    assert mixed(BOARD, allow=()) == (f"{EITHER}{FAST}, {SLOW}",)


def test_only_processors_that_unpinned_cells_may_use_are_named() -> None:
    """As isolcpus=3,6-7 has it, with processor 0 offline."""
    facts = {**BOARD, "cpus_online": "1-7", "cpus_allowed": "1-2,4-5", "cpu_count": 4}
    facts["cpu_kinds"] = [BOARD["cpu_kinds"][0], {"cpus": "1-3", "mhz_max": None}]
    assert mixed(facts) == (f"{EITHER}fast 4-5 (up to 2352 MHz), slow 1-2; pin them by cpus",)


def test_a_kind_that_unpinned_cells_never_reach_is_told() -> None:
    facts = {**BOARD, "cpus_allowed": "0-3", "cpu_count": 4}
    assert mixed(facts) == (f"cells without cpus may not run on its processors {FAST}; pin them by cpus",)


def test_pinned_cells_of_one_kind_need_no_word_and_of_two_one_each() -> None:
    assert mixed(BOARD, "0-3", "4", "4-7") == ()
    assert mixed(BOARD, "3-4", "0-3", "0,7") == (
        "cells of cpus=3-4 run on processors of several kinds: fast 4 (up to 2352 MHz), slow 3 (up to 1800 MHz)",
        "cells of cpus=0,7 run on processors of several kinds: fast 7 (up to 2352 MHz), slow 0 (up to 1800 MHz)",
    )


@pytest.mark.parametrize(
    "said",
    [None, [], "fast", 7, [{"cpus": "0-7"}], [{"cpus": "x"}, {"cpus": "0-3"}], [{"cpus": ["0"]}, None, {"mhz_max": 1}]],
)
def test_boards_that_tell_no_two_kinds_have_none(said: object) -> None:
    assert mixed({**BOARD, "cpu_kinds": said}) == ()
    assert Processors.of_facts({**BOARD, "cpu_kinds": said}).kinds_words is None


def test_kinds_are_named_by_their_order() -> None:
    three = [{"cpus": "7", "mhz_max": 2840.0}, {"cpus": "4-6", "mhz_max": True}, {"cpus": "0-3", "mhz_max": -1}]
    assert Processors.of_facts({"cpu_kinds": three}).kinds_words == "fast 7 (up to 2840 MHz), middle 4-6, slow 0-3"
    many = [{"cpus": str(number)} for number in range(4)]
    assert Processors.of_facts({"cpu_kinds": many}).kinds_words == "kind 1 0, kind 2 1, kind 3 2, kind 4 3"
