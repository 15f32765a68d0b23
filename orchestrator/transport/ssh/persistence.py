"""Connect again after a drop: a busy sshd accepts a connection and closes it (`MaxStartups`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestrator.domain.errors import Unreachable

Result = TypeVar("Result")

ALONE_MAX = 5
"""After how many drops without other turns beside them a device is given up. Other clients may keep a server busy."""

DROPS_MAX = 12
"""After how many drops a device is given up in any case."""

PAUSE_S, PAUSE_S_MAX = 0.2, 4.0
"""The first pause, and the longest. Pauses double, and each is up to a second longer by chance: crowds come apart."""


class Dropped(Exception):
    """Report a dropped connection. `failure` is the error to raise after the last attempt."""

    def __init__(self, failure: Unreachable, *, was_alone: bool) -> None:
        super().__init__(failure)
        self.failure = failure
        self.was_alone = was_alone


def again_while_dropped(action: Callable[[], Result]) -> Result:
    """Call `action`, and call `action` again after a pause whenever it raises Dropped.

    Raise the failure of the last Dropped after ALONE_MAX drops of a turn that was alone, or DROPS_MAX in all.
    """
    try:
        return action()
    except Dropped as dropped:
        return _again(action, dropped)


def _again(action: Callable[[], Result], first: Dropped) -> Result:
    import stamina  # imported after a drop only: most runs never need stamina

    stamina.instrumentation.set_on_retry_hooks([])  # a retry is no news: stamina would log each

    made: list[Dropped] = []

    def is_worth_it(error: Exception) -> bool:
        if isinstance(error, Dropped):
            made.append(error)
        return isinstance(error, Dropped) and sum(dropped.was_alone for dropped in made) < ALONE_MAX

    try:
        for attempt in stamina.retry_context(
            on=is_worth_it, attempts=DROPS_MAX, timeout=None, wait_initial=PAUSE_S, wait_max=PAUSE_S_MAX
        ):
            with attempt:
                if attempt.num == 1:
                    raise first  # the caller has made the first attempt: only the pause is left
                return action()
    except Dropped as last:
        raise last.failure from last.__cause__
    raise AssertionError("the last attempt returns or raises")
