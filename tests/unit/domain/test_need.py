"""Which devices are chosen for a need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.need import Candidate, Need, choose, group_of, need_of

NOW = datetime(2026, 12, 1, 4, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def test_the_least_recently_used_of_the_free_ones_is_chosen() -> None:
    found = [
        Candidate("pi-1", used_at=ago(1)),
        Candidate("pi-2", used_at=ago(9)),
        Candidate("pi-3", used_at=ago(3)),
        Candidate("pi-4", free_at=NOW, used_at=ago(99)),
    ]
    assert choose(Need("all", 1), found) == ("pi-2",)
    assert choose(Need("all", 2), found) == ("pi-2", "pi-3")
    assert choose(Need("all", 4), found) == ("pi-1", "pi-2", "pi-3", "pi-4")
    assert choose(Need("all", 1), [*found, Candidate("pi-5")]) == ("pi-5",), "one that never ran goes first"
    assert choose(Need("all", 1), found, taken={"pi-2"}) == ("pi-3",)


def test_where_too_few_are_free_the_next_to_be_free_is_chosen_and_too_few_are_none() -> None:
    found = [Candidate("pi-1", free_at=NOW), Candidate("pi-2", free_at=ago(1)), Candidate("pi-3")]
    assert choose(Need("all", 2), found) == ("pi-2", "pi-3")
    assert choose(Need("all", 4), found) == ()


def test_groups_share_as_far_as_free_devices_allow() -> None:
    found = [
        Candidate("a-1", "berlin", used_at=ago(9)),
        Candidate("a-2", "berlin", used_at=ago(8)),
        Candidate("b-1", "paris", used_at=ago(1)),
        Candidate("c-1", "rome", free_at=NOW),
    ]
    assert choose(Need("all", 2, "site"), found) == ("a-1", "b-1")
    assert choose(Need("all", 3, "site"), found) == ("a-1", "a-2", "b-1"), "a busy one spreads no better"


@pytest.mark.parametrize(
    ("spread", "tags", "jump", "group"),
    [
        (None, {"site": "berlin"}, "gate", ""),
        ("site", {"site": "berlin"}, "gate", "berlin"),
        ("site", {}, "gate", "gate"),
        ("rack", {"site": "berlin"}, None, ""),
    ],
)
def test_a_group_is_the_value_of_the_tag_or_else_the_gateway(
    spread: str | None, tags: dict[str, str], jump: str | None, group: str
) -> None:
    device = Device("pi", TransportKind.SSH, tags=tags, jump=jump)
    assert group_of(device, Need("all", 2, spread)) == group


def test_a_need_is_kept_among_settings() -> None:
    need = Need("class=rpi", 2, "site")
    assert need_of(need.settings) == need
    assert need_of({"select": "all"}) is None
