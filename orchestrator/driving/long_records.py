"""Read long records in a separate thread: few bytes may stand for seconds of sorting.

The thread writes no row. The driver stores the records read, in a separate transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.domain.conversation import RecordsArrived, SessionReport
from orchestrator.domain.run import PreparedRecords
from orchestrator.driving.backlog import Backlog
from orchestrator.store.base import DeviceLogs


@dataclass(frozen=True, slots=True)
class LongRead:
    """Tell the driver of a long record read: the report, and the records or the error of the database."""

    report: SessionReport
    future: Future[PreparedRecords]


class LongRecords:
    """Read the long records of a driver. `tell` is called in another thread."""

    def __init__(self, logs: DeviceLogs, tell: Callable[[LongRead], None]) -> None:
        self._logs = logs
        self._tell = tell
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read long records")

    def read_next(self, backlog: Backlog, is_present: Callable[[SessionReport], bool]) -> None:
        """Begin to read the next long record in turn. Drop the record of an earlier session."""
        report = backlog.take_long()
        if report is None:
            return
        if not is_present(report):
            backlog.give_back()
            return
        assert isinstance(report.report, RecordsArrived)
        reading = self._reader.submit(self._logs.prepare, report.report)
        reading.add_done_callback(lambda future: self._tell(LongRead(report, future)))

    def close(self) -> None:
        """Begin no further reading. A record under way is dropped, and stays on the device."""
        self._reader.shutdown(wait=False, cancel_futures=True)
