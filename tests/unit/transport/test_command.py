"""What transports share keeps its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.transport.command import Tail


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_a_tail_is_the_end_of_all_that_came(pieces: list[bytes], bytes_max: int) -> None:
    tail = Tail(bytes_max)
    for piece in pieces:
        tail.add(piece)

    assert bytes(tail) == b"".join(pieces)[-bytes_max:]
