"""Compare runs for many readers: what has been compared a moment ago is not compared again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.domain.comparison import Comparison
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import RUN
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.sweep import setting_text
from orchestrator.services.pages.base import PageReader
from orchestrator.services.pages.reading import Reading
from orchestrator.services.results.request import CompareRequest, compare_run
from orchestrator.services.results.selection import common_parent
from orchestrator.services.runs.show import require_run

ENDED_S, UNDER_WAY_S = 60.0, 5.0
"""How long an answer serves. An ended run can still be extended, and a baseline pinned anew."""
_KEPT_MAX = 64
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Hold an answer until a moment of the clock."""

    until: float
    comparison: Comparison


class Comparisons:
    """Compare on request. A comparison takes up to a second of computing, and readers reload."""

    def __init__(self, reader: PageReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[_Key, threading.Lock] = {}
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def compared(self, request: CompareRequest) -> Comparison:
        """Return a comparison. Raise the errors of `compare_run`.

        Of a coordinate that has no common parent, the first value of the run is the base, unless the request names one.
        """
        record = require_run(self._reader.runs, request.run)
        asked = replace(request, run=record.header.run)
        # With the end: an extended run that has ended again has another answer.
        key = (asked.run, record.finished_at, asked.by, asked.base, asked.against, tuple(asked.metrics or ()))
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        # Readers of the same comparison wait for one answer. Others go on beside.
        with turn:
            try:
                return self._known(key) or self._remember(key, ended=record.finished_at is not None, request=asked)
            finally:
                with self._lock:
                    self._turns.pop(key, None)

    def _known(self, key: _Key) -> Comparison | None:
        with self._lock:
            kept = self._kept.get(key)
            return kept.comparison if kept is not None and self._clock() < kept.until else None

    def _remember(self, key: _Key, *, ended: bool, request: CompareRequest) -> Comparison:
        found = compare_run(self._with_base(request), Reading(self._reader))
        with self._lock:
            self._kept[key] = _Kept(self._clock() + (ENDED_S if ended else UNDER_WAY_S), found)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    def _with_base(self, request: CompareRequest) -> CompareRequest:
        by = request.by or "variant"
        if request.base is not None or request.against is not None or by == RUN:
            return request
        cells = self._reader.results.cell_results(request.run, HEADLINE_METRIC)
        if by == "variant" and cells:
            try:
                common_parent(self._reader.results, request.run, by, cells)
            except ConfigError:
                pass  # the first value has to do: a reader of a page has named none
            else:
                return request
        values = (cell.cell.at(by) for cell in cells)
        first = next((value for value in values if value is not None), None)
        return request if first is None else replace(request, base=setting_text(first))
