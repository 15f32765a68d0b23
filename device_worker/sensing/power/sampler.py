"""Read a power source periodically while a trial runs, in a thread of the runner and off the trial's CPUs."""

from __future__ import annotations

import os
import threading
import time

from device_worker.protocol.power_trace import Trace
from device_worker.sensing.power.base import Implausible, Lost
from device_worker.system.patient_reader import stand_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.power.base import PowerSource
    from device_worker.system.patient_reader import PatientReader

_READINGS_MAX = 2000000
_VALUE_MAX = (1 << 63) - 1
_END_S_MAX = 5.0
_BORDER_READINGS = 5


class Sampler:
    """A recording of a source.

    The first reading is taken in the constructor, by `reader`. A thread of the sampler's own reads from `begin` to
    `end`. The runner must have no second thread at a fork: make the sampler, start the process, then call `begin`.
    `overhead_cpu_ns` is the processor time of the thread. A source that does not answer makes the sampler stuck.
    """

    def __init__(self, source: PowerSource, reader: PatientReader) -> None:
        self.trace = Trace(source.kind, is_mean=source.is_mean)
        self.source_name = source.name
        self.overhead_cpu_ns = 0
        self.is_stuck = False
        self._source = source
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        _nothing, reasons = reader.read({source.name: self._take_border})
        if reasons:
            self._give_up(reasons[source.name])

    def begin(self, trial_cpus: frozenset[int] | None = None) -> None:
        """Begin to read in a thread. The thread keeps off `trial_cpus` if the device has other CPUs."""
        if self.trace.lost is not None:
            return
        # A daemon, so that a thread stuck in a driver does not keep the runner from ending.
        thread = threading.Thread(target=self._run, args=(trial_cpus,), name="benchfleet-power", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self.trace.lost = f"the device could not start a thread: {error}"
        else:
            self._thread = thread

    def end(self) -> None:
        """End the thread with a last reading. Give up a source that does not answer within _END_S_MAX s."""
        if self._thread is None:
            return
        self._is_over.set()
        self._thread.join(_END_S_MAX)
        if self._thread.is_alive():
            self._give_up(f"did not answer within {_END_S_MAX:g} s")

    def _run(self, trial_cpus: frozenset[int] | None) -> None:
        _keep_off(trial_cpus)
        stand_aside()
        due = time.monotonic()
        while self.trace.lost is None:
            due = max(due + self._source.period_s, time.monotonic())  # no burst of readings after a late reading
            is_last = self._is_over.wait(due - time.monotonic())
            if is_last:
                self._take_border()
                break
            self._take()
        self.overhead_cpu_ns = time.thread_time_ns()

    def _give_up(self, reason: str) -> None:
        self.is_stuck = True
        self.trace.lost = f"{self.source_name}: {reason}"

    def _take_border(self) -> None:
        """Take a reading before or after the trial. Where the reading is nonsense, take the next."""
        # The trace must cover the window, which one nonsense at its border would cut.
        for _attempt in range(_BORDER_READINGS):
            known = len(self.trace)
            self._take()
            if len(self.trace) > known or self.trace.lost is not None:
                break
            time.sleep(self._source.period_s)

    def _take(self) -> None:
        before = time.monotonic_ns()
        try:
            value = self._source.read()
        except Implausible as error:
            self.trace.discard(str(error))
            return
        except Lost as error:
            self.trace.lost = f"{self.source_name}: {error}"
            return
        after = time.monotonic_ns()
        if value is None or value > _VALUE_MAX:
            self.trace.lost = f"{self.source_name} could not be read any more"
        elif len(self.trace) >= _READINGS_MAX:
            self.trace.lost = f"the trial took more than {_READINGS_MAX} readings"
        else:
            self.trace.add((before + after) // 2, value)  # a slow driver answers at an unknown moment in between


def _keep_off(trial_cpus: frozenset[int] | None) -> None:
    try:
        others = os.sched_getaffinity(0) - (trial_cpus or frozenset())
        if trial_cpus and others:
            os.sched_setaffinity(0, others)  # 0 is the calling thread alone, not the process: sched_setaffinity(2)
    except OSError:
        pass
