"""Keep what pages have just read, so that many readers of one page cost as much as one reader."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.domain.errors import OrchestratorError

NOW_S, SETTLED_S = 1.0, 5.0
"""How long an answer serves: of what goes on at the moment, and of what changes from run to run."""
_KEPT_MAX = 256
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hold an answer. `fresh_until` and `serves_until` are moments of the clock."""

    value: Any
    fresh_until: float
    serves_until: float


class Kept:
    """Keep answers for a moment. Readers with the same question wait for one answer, others go on beside.

    Values are shared between threads: nobody may change them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[Hashable, threading.Lock] = {}
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._forgotten = 0

    def get(self, question: Hashable, seconds: float, ask: Callable[[], _T]) -> _T:
        """Return the kept answer, or ask and keep the answer.

        An answer is fresh for so many seconds. For as long again the answer still serves, while another is asked for
        beside: no reader waits for a comparison of seconds. An error of `ask` is not kept.
        """
        known, turn = self._known(question)
        if known is None:
            with turn:
                known, _ = self._known(question)  # by now from the reader whose turn was before
                if known is None:
                    return self._ask(question, seconds, ask)
        elif self._clock() >= known.fresh_until and turn.acquire(blocking=False):
            # A daemon: a server that ends does not wait for an answer that nobody will read.
            threading.Thread(target=self._renew, args=(question, seconds, ask, turn), daemon=True).start()
        value: _T = known.value
        return value

    def forget(self) -> None:
        """Drop every answer: a reader who has just decided something must see the decision."""
        with self._lock:
            self._answers.clear()
            self._forgotten += 1

    def _known(self, question: Hashable) -> tuple[_Answer | None, threading.Lock]:
        """Return the answer if the answer still serves, and the lock of those who ask for another."""
        with self._lock:
            answer = self._answers.get(question)
            serves = answer is not None and self._clock() < answer.serves_until
            if question not in self._turns and len(self._turns) >= _KEPT_MAX:
                self._turns = {key: turn for key, turn in self._turns.items() if turn.locked()}
            return answer if serves else None, self._turns.setdefault(question, threading.Lock())

    def _renew(self, question: Hashable, seconds: float, ask: Callable[[], Any], turn: threading.Lock) -> None:
        try:
            self._ask(question, seconds, ask)
        except OrchestratorError:
            pass  # the next reader asks again, and is told
        finally:
            turn.release()

    def _ask(self, question: Hashable, seconds: float, ask: Callable[[], _T]) -> _T:
        forgotten = self._forgotten
        value = ask()
        with self._lock:
            # What was read before a decision must not outlive the decision.
            if forgotten == self._forgotten:
                now = self._clock()  # after the answer: a slow database is not asked again at once
                self._answers[question] = _Answer(value, now + seconds, now + 2 * seconds)
                self._answers.move_to_end(question)
                while len(self._answers) > _KEPT_MAX:
                    self._answers.popitem(last=False)
        return value
