"""Read sources that may hang, such as a sensor on a stuck bus, and leave a hanging source behind.

No signal and no time-out ends a read that is stuck in the kernel. Sources are therefore read in a thread. A thread that
does not come back in time is left alone, and keeps neither the reader nor the process from going on.
"""

from __future__ import annotations

import _thread
import os
import time

from device_worker.system.libc import unshare_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    Source = Callable[[], Any]

READ_S_MAX = 3.0
"""The time for a source. A sensor takes milliseconds, and a bus gives up a device within a second or two."""

_STANDARD_STREAMS = 3
_FILES_MAX = 64  # a runner has a dozen open: to list them would take longer than a reading


class PatientReader:
    """Reads sources in a thread, one after the other, with at most `seconds_max` for each.

    A source that hangs costs one wait and one thread: the source is not asked again until that thread comes back. In a
    runner a thread hears no signals, and keeps no lock, even if the thread is stuck and the runner killed.
    """

    def __init__(self, seconds_max: float = READ_S_MAX, *, in_runner: bool = False) -> None:
        self._seconds_max = seconds_max
        self._in_runner = in_runner
        self._stuck: dict[str, _Errand] = {}

    def read(self, sources: Mapping[str, Source]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the value of each source, None for a source without an answer, and the reasons for these.

        Raise what a source raises. The sources behind that one are not read.
        """
        values: dict[str, Any] = dict.fromkeys(sources)
        reasons = {name: self._explain() for name in sources if self._is_stuck(name)}
        left = [name for name in sources if name not in reasons]
        while left:
            errand = _Errand([sources[name] for name in left], self._seconds_max, self._in_runner)
            try:
                errand.begin()
            except RuntimeError as error:
                reasons.update(dict.fromkeys(left, f"the device could not start a thread: {error}"))
                break
            answers = errand.wait()
            values.update(zip(left, answers))
            del left[: len(answers)]
            if left:
                name = left.pop(0)
                self._stuck[name] = errand
                reasons[name] = self._explain()
        return values, reasons

    def _is_stuck(self, name: str) -> bool:
        errand = self._stuck.get(name)
        if errand is not None and errand.is_over:
            del self._stuck[name]
        return name in self._stuck

    def _explain(self) -> str:
        return f"no answer within {self._seconds_max:g} s: does a driver or a bus hang?"


class _Errand:
    """One thread's way from source to source, with at most `seconds_max` for each."""

    def __init__(self, sources: list[Source], seconds_max: float, in_runner: bool) -> None:
        self._sources = sources
        self._seconds_max = seconds_max
        self._in_runner = in_runner
        self._answers: list[Any] = []
        self._error: Exception | None = None
        self._is_left = False
        self._due_s = time.monotonic() + seconds_max
        self._under_way = _thread.allocate_lock()  # one handover for all sources: each costs as much as a reading
        self._under_way.acquire()

    @property
    def is_over(self) -> bool:
        """Whether the thread of an errand that was left has come back."""
        return not self._under_way.locked()

    def begin(self) -> None:
        """Start the thread. Raise RuntimeError where the device can start none."""
        _thread.start_new_thread(self._run, ())  # not threading: the import costs a slow device milliseconds

    def wait(self) -> list[Any]:
        """Return the answers in the order of the sources, as far as the first source that takes too long.

        Raise the error of the first source that raised one.
        """
        while not self._under_way.acquire(timeout=max(0.0, self._due_s - time.monotonic())):
            heard = len(self._answers)
            # In this order: a new answer comes with more time, and is not taken for the end of the time before.
            if time.monotonic() >= self._due_s:
                self._is_left = True
                return self._answers[:heard]
        if self._error is not None:
            raise self._error
        return self._answers

    def _run(self) -> None:
        try:
            if self._in_runner:
                stand_aside()
            for source in self._sources:
                if self._is_left:
                    break
                answer = source()
                self._due_s = time.monotonic() + self._seconds_max
                self._answers.append(answer)
        except Exception as error:  # noqa: BLE001 raised again where the answers are waited for
            self._error = error
        finally:
            self._under_way.release()


def stand_aside() -> None:
    """Keep the calling thread of a runner from the runner's signals and files."""
    import signal  # here: facts are read without

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    # The kernel gives back a lock once no thread has the file open, and a thread that is stuck outlives its process.
    if unshare_files():
        os.closerange(_STANDARD_STREAMS, _FILES_MAX)
