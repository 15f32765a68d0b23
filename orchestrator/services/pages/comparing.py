"""Compare runs for many readers: what has been compared a moment ago is not compared again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.domain.comparison import Comparison
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import RUN
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.run import RunRecord
from orchestrator.domain.sweep import setting_text
from orchestrator.services.pages.base import PageReader
from orchestrator.services.pages.kept import NOW_S, SETTLED_S, Kept
from orchestrator.services.pages.reading import Reading
from orchestrator.services.results.request import CompareRequest, compare_run
from orchestrator.services.runs.show import require_run

ENDED_S = 30.0
"""How long the comparison of an ended run serves. The run can still be extended, and a baseline pinned anew."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Compare on request. A comparison takes up to a second of computing, and readers reload."""

    reader: PageReader
    kept: Kept

    def compared(self, request: CompareRequest) -> Comparison:
        """Return a comparison. Raise the errors of `compare_run`.

        Of a coordinate that has no common parent, the first value of the run is the base, unless the request names one.
        """
        record = self.kept.get(
            ("run to compare", request.run), NOW_S, lambda: require_run(self.reader.runs, request.run)
        )
        asked = replace(request, run=record.header.run)
        # With the end: an extended run that has ended again has another answer.
        key = (asked.run, record.finished_at, asked.by, asked.base, asked.against, tuple(asked.metrics or ()))
        seconds = ENDED_S if record.finished_at is not None else SETTLED_S
        return self.kept.get(("comparison", *key), seconds, lambda: self._compare(asked, record))

    def compared_anew(self, request: CompareRequest) -> Comparison:
        """Return a comparison of this moment. Raise the errors of `compare_run`."""
        record = require_run(self.reader.runs, request.run)
        return self._compare(replace(request, run=record.header.run), record)

    def _compare(self, request: CompareRequest, record: RunRecord) -> Comparison:
        by = request.by or "variant"
        needs_base = request.base is None and request.against is None and by != RUN
        if needs_base and by != "variant":
            return compare_run(self._with_first_value(request, by), Reading(self.reader), record)
        try:
            return compare_run(request, Reading(self.reader), record)
        except ConfigError:
            based = self._with_first_value(request, by) if needs_base else request
            if based.base == request.base:
                raise
        # The variants have no common parent. Asked beforehand, each comparison would read all trials twice.
        return compare_run(based, Reading(self.reader), record)

    def _with_first_value(self, request: CompareRequest, by: str) -> CompareRequest:
        """Return the request with the first value of a coordinate as the base: a reader of a page has named none."""
        cells = self.reader.results.cell_results(request.run, HEADLINE_METRIC)
        values = (cell.cell.at(by) for cell in cells)
        first = next((value for value in values if value is not None), None)
        return request if first is None else replace(request, base=setting_text(first))
