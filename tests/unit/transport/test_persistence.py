"""What a busy server drops is tried again, but not for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from orchestrator.domain.errors import HostKeyUnknown, NoAnswer
from orchestrator.transport.ssh.persistence import ALONE_MAX, DROPS_MAX, Dropped, again_while_dropped


@pytest.fixture(autouse=True)
def without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10 * DROPS_MAX, cap=True):
        yield


class Server:
    """Drops so many connections, and counts all of them."""

    def __init__(self, drops: int, *, was_alone: bool) -> None:
        self.connections = 0
        self._drops = drops
        self._was_alone = was_alone

    def connect(self) -> str:
        self.connections += 1
        if self.connections <= self._drops:
            raise Dropped(NoAnswer("it closed it", "raise MaxStartups"), was_alone=self._was_alone)
        return "hello"


@pytest.mark.parametrize("drops", [0, 1, ALONE_MAX - 1])
def test_a_server_that_drops_a_few_is_reached(drops: int) -> None:
    server = Server(drops, was_alone=True)

    assert again_while_dropped(server.connect) == "hello"
    assert server.connections == drops + 1


@pytest.mark.parametrize(("was_alone", "connections"), [(True, ALONE_MAX), (False, DROPS_MAX)])
def test_one_that_drops_all_is_given_up_and_sooner_where_nothing_else_keeps_it_busy(
    was_alone: bool, connections: int
) -> None:
    server = Server(1000, was_alone=was_alone)

    with pytest.raises(NoAnswer) as caught:
        again_while_dropped(server.connect)

    assert caught.value.hint == "raise MaxStartups"
    assert server.connections == connections


def test_any_other_failure_is_not_tried_again() -> None:
    calls = 0

    def connect() -> None:
        nonlocal calls
        calls += 1
        raise HostKeyUnknown("it was never enrolled") if calls == 2 else Dropped(NoAnswer("closed"), was_alone=False)

    with pytest.raises(HostKeyUnknown):
        again_while_dropped(connect)

    assert calls == 2
