"""Remember what was found out for a while: the same question at the same time is asked once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Remembered(Generic[Found]):
    """What was found out by question, for `fresh_s` seconds. What fails is not remembered."""

    def __init__(self, fresh_s: float, most: int) -> None:
        self._fresh_s = fresh_s
        self._most = most
        self._found: dict[Hashable, tuple[float, Future[Found]]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, work: Callable[[], Found]) -> Found:
        """Return what `work` finds out. Of several callers one works, and the others wait for that one."""
        with self._lock:
            began, future = self._found.get(key, (0.0, None))
            if future is not None and time.monotonic() - began < self._fresh_s:
                mine = False
            else:
                mine, future = True, Future()
                self._forget_old()
                self._found[key] = (time.monotonic(), future)
        if mine:
            _fulfil(future, work)
        try:
            return future.result()
        except BaseException:
            with self._lock:
                if self._found.get(key, (0.0, None))[1] is future:
                    del self._found[key]
            raise

    def _forget_old(self) -> None:
        if len(self._found) < self._most:
            return
        now = time.monotonic()
        for key in [key for key, (began, _) in self._found.items() if now - began >= self._fresh_s]:
            del self._found[key]


def _fulfil(future: Future[Found], work: Callable[[], Found]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - whoever waits for what is found raises the error
        future.set_exception(error)
