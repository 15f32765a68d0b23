"""Read a power source again and again while a trial runs, in a thread of the runner and off the trial's CPUs."""

from __future__ import annotations

import os
import signal
import threading
import time

from device_worker.power.trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.power.base import PowerSource

_READINGS_MAX = 2000000
_VALUE_MAX = (1 << 63) - 1
_END_S_MAX = 5.0


class Sampler:
    """One recording of one source.

    It takes its first reading when it is made and its last one in `end`, both in the caller's thread, so that the trace
    holds all that happens between; its own thread lives from `begin` to `end`. The runner has no second thread when it
    forks: make the sampler, start the process, then begin.
    """

    def __init__(self, source: PowerSource) -> None:
        self.trace = Trace(source.kind)
        self.source_name = source.name
        self.overhead_cpu_ns = 0
        self.is_stuck = False
        self._source = source
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._take()

    def begin(self, trial_cpus: frozenset[int] | None = None) -> None:
        """Go on reading in a thread, which keeps off these CPUs if there are others."""
        if self.trace.lost is not None:
            return
        thread = threading.Thread(target=self._run, args=(trial_cpus,), name="benchfleet-power", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self.trace.lost = f"the device could not start a thread: {error}"
        else:
            self._thread = thread

    def end(self) -> None:
        """Take the last reading; a source that does not answer any more is left behind with its thread."""
        if self._thread is None:
            return
        self._is_over.set()
        self._thread.join(_END_S_MAX)
        if self._thread.is_alive():
            self.is_stuck = True
            self.trace.lost = f"{self.source_name} did not answer within {_END_S_MAX:g} s"
        elif self.trace.lost is None:
            self._take()

    def _run(self, trial_cpus: frozenset[int] | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})  # the runner's own business
        _keep_off(trial_cpus)
        due = time.monotonic()
        while self.trace.lost is None:
            due = max(due + self._source.period_s, time.monotonic())
            if self._is_over.wait(due - time.monotonic()):
                break
            self._take()
        self.overhead_cpu_ns = time.thread_time_ns()

    def _take(self) -> None:
        before = time.monotonic_ns()
        value = self._source.read()
        after = time.monotonic_ns()
        if value is None or value > _VALUE_MAX:
            self.trace.lost = f"{self.source_name} could not be read any more"
        elif len(self.trace) >= _READINGS_MAX:
            self.trace.lost = f"the trial took more than {_READINGS_MAX} readings"
        else:
            self.trace.add((before + after) // 2, value)


def _keep_off(trial_cpus: frozenset[int] | None) -> None:
    try:
        others = os.sched_getaffinity(0) - (trial_cpus or frozenset())
        if trial_cpus and others:
            os.sched_setaffinity(0, others)  # of this thread alone
    except OSError:
        pass
