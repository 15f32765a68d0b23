"""Keep what pages have just read, so that many readers of one page cost as much as one reader."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from orchestrator.domain.errors import OrchestratorError

NOW_S, SETTLED_S = 1.0, 5.0
"""How long an answer serves: of what goes on at the moment, and of what changes from run to run."""
OLD_S = 30.0
"""How long an answer that is no longer fresh may serve a reader who would otherwise wait for the next answer."""
COST_RATIO_MAX, COSTLY_S_MAX = 0.1, 10.0
"""What part of a processor one question may take when asked all the time: a costly answer is fresh for longer, up to so
many seconds."""
PATIENCE_S = 0.1
"""How long a reader waits for a fresh answer where there is an older answer."""
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

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[Hashable, threading.Lock] = {}
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._forgotten = 0

    def get(self, question: Hashable, seconds: float, ask: Callable[[], _T]) -> _T:
        """Return the kept answer, or ask and keep the answer.

        An answer is fresh for so many seconds, or for longer if the answer was costly. For OLD_S more the answer still
        serves a reader for whom the next answer takes longer than PATIENCE_S: no reader waits for a comparison of
        seconds. An error of `ask` is not kept.
        """
        known, turn = self._known(question)
        if known is not None:
            if self._clock() < known.fresh_until:
                return cast(_T, known.value)
            if turn.acquire(blocking=False):
                # A daemon: a server that ends does not wait for an answer that nobody will read.
                threading.Thread(target=self._renew, args=(question, seconds, ask, turn), daemon=True).start()
            if not turn.acquire(timeout=self._patience_s):
                return cast(_T, known.value)
            turn.release()
        with turn:
            known, _ = self._known(question)  # by now from the reader whose turn was before, or from the thread
            return self._ask(question, seconds, ask) if known is None else cast(_T, known.value)

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
            # The next reader asks again, and is told.
            with self._lock:
                self._answers.pop(question, None)
        finally:
            turn.release()

    def _ask(self, question: Hashable, seconds: float, ask: Callable[[], _T]) -> _T:
        forgotten, began = self._forgotten, self._clock()
        value = ask()
        with self._lock:
            # What was read before a decision must not outlive the decision.
            if forgotten == self._forgotten:
                now = self._clock()  # after the answer: a slow database is not asked again at once
                fresh_until = now + max(seconds, min((now - began) / COST_RATIO_MAX, COSTLY_S_MAX))
                self._answers[question] = _Answer(value, fresh_until, fresh_until + OLD_S)
                self._answers.move_to_end(question)
                while len(self._answers) > _KEPT_MAX:
                    self._answers.popitem(last=False)
        return value
