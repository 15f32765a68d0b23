"""A board in another's place is told by its hardware; a reboot, an upgrade and an unknown fact are no other board."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.machines import find_exchange

BOARD = {
    "boot_id": "boot-1",
    "machine": "aarch64",
    "cpu_model": "Cortex-A72",
    "cpu_count": 4,
    "memory_bytes": 3_981_000_000,
    "board_model": "Raspberry Pi 4 Model B Rev 1.4",
}


def exchange(**changes: Any) -> str | None:
    found = find_exchange(Facts(BOARD), Facts({**BOARD, "boot_id": "boot-2", **changes}))
    return None if found is None else found.message


def test_other_hardware_is_named_with_what_it_was() -> None:
    told = exchange(board_model="Raspberry Pi 5 Model B Rev 1.0", cpu_model="Cortex-A76")
    assert told == (
        "other hardware than before: cpu model Cortex-A72 before, Cortex-A76 now;"
        " board model Raspberry Pi 4 Model B Rev 1.4 before, Raspberry Pi 5 Model B Rev 1.0 now"
    )
    assert exchange(memory_bytes=8_000_000_000) is not None


@pytest.mark.parametrize(
    "changes",
    [{}, {"memory_bytes": 3_979_000_000}, {"cpu_model": None}, {"kernel": "6.12"}, {"gpus": []}],
    ids=["a reboot", "a kernel that leaves less memory", "a fact no more", "an upgrade", "a fact of a newer worker"],
)
def test_what_the_same_board_may_show_is_no_other_board(changes: dict[str, Any]) -> None:
    assert exchange(**changes) is None


def test_facts_of_one_boot_are_of_one_board_whatever_they_say() -> None:
    assert find_exchange(Facts(BOARD), Facts({**BOARD, "cpu_count": 2})) is None


def test_a_long_fact_is_cut() -> None:
    assert len(exchange(cpu_model="A" * 100_000) or "") < 200
