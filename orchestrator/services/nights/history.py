"""Read the past of a cell from earlier nights: the present segment, the baseline and the standing regression."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from orchestrator.analysis.nightly import WINDOW
from orchestrator.analysis.nights.subjects import Key, OpenRegression
from orchestrator.domain.errors import StoreError
from orchestrator.domain.night import (
    REGRESSED,
    CellMemory,
    NightCell,
    NightPoint,
    NightReport,
    NightVerdict,
)
from orchestrator.domain.night_document import from_document
from orchestrator.domain.nightly import BaselineChoice, BaselineRule
from orchestrator.domain.regression import STANDING, Regression, RegressionState
from orchestrator.store.base import Roles

NIGHTS_READ = 2 * WINDOW
_NOISY_NIGHTS, _NOISY_LEAST, _NOISY_SD = 10, 5, 0.25

GOOD = frozenset(
    {
        NightVerdict.CLEAN,
        NightVerdict.INCONCLUSIVE,
        NightVerdict.FIXED,
        NightVerdict.IMPROVED,
        NightVerdict.ENVIRONMENT_CHANGED,
    }
)
"""The verdicts on a cell whose build may be a baseline."""
_OVER = frozenset({RegressionState.ACCEPTED, RegressionState.INVALID, RegressionState.DISMISSED})
"""The states of a regression whose nights are ordinary nights."""


BORNE_OUT = 3
"""So many later nights must have spoken for a level before it is a baseline.

A step that is too small for one first look would otherwise be the next night's baseline, and never be seen.
"""


def last_good(nights: int) -> int:
    """Return the place of the last good night among so many good ones, the oldest while there are few."""
    return max(0, nights - 1 - BORNE_OUT)


@dataclass(frozen=True, slots=True)
class PastNight:
    """Hold one earlier night of a cell."""

    report: NightReport
    cell: NightCell

    @property
    def memory(self) -> CellMemory:
        """Return the night's memory of the cell. Only nights with a memory are asked."""
        assert self.cell.memory is not None
        return self.cell.memory


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold a cell's nights since the level last changed, the newest last.

    `values` has NaN for nights with no word on the level. `standing` is the standing regression.
    """

    nights: tuple[PastNight, ...]
    values: tuple[float, ...]
    variances: tuple[float, ...]
    freedoms: tuple[float, ...]
    threshold: float | None
    standing: OpenRegression | None

    def baseline(self, rule: BaselineRule, but: Collection[str] = ()) -> PastNight | None:
        """Return the night whose build is the baseline by a rule of nights, or None. The nights `but` are left out."""
        good = [one for one in self.nights if _is_good(one) and one.report.night not in but]
        if not good:
            return None
        if rule.choice is BaselineChoice.ROLLING:
            # A young series has fewer nights: the oldest stands in for the one that was asked for.
            return good[max(0, len(good) - rule.nights)]
        return good[last_good(len(good))]

    def noisy(self) -> str | None:
        """Return why the series is too noisy for a verdict, or None."""
        recent = [one.memory for one in self.nights[-_NOISY_NIGHTS:] if one.memory.value is not None]
        if len(recent) < _NOISY_LEAST:
            return None
        unruly = sum(one.unruly for one in recent)
        if 2 * unruly > len(recent):
            return f"its trials jumped between levels in {unruly} of {len(recent)} nights"
        spread = math.sqrt(median([one.variance or 0.0 for one in recent]))
        if spread > _NOISY_SD:
            return f"its trials scatter by {100 * spread:.0f} %"
        return None


class Past:
    """Hold the earlier nights of a nightly, and the present states of regressions."""

    def __init__(self, reports: Sequence[NightReport], regressions: Sequence[Regression]) -> None:
        self.reports = tuple(reports)  # the newest first
        self._regressions = {one.id: one for one in regressions}
        self._cells: dict[Key, list[PastNight]] = {}
        for report in reports:
            for cell in report.cells:
                key = Key(cell.cell.device, cell.slot, cell.metric)
                self._cells.setdefault(key, []).append(PastNight(report, cell))

    @property
    def keys(self) -> frozenset[Key]:
        """Return every cell and metric of the earlier nights."""
        return frozenset(self._cells)

    def newest(self, key: Key) -> NightCell | None:
        """Return the newest night's cell, or None for an unknown cell."""
        found = self._cells.get(key)
        return found[0].cell if found else None

    def points(self, key: Key) -> tuple[NightPoint, ...]:
        """Return the nights of a cell for its chart, the newest last."""
        return tuple(
            NightPoint(one.report.night, one.report.began_at, one.cell.value, one.cell.verdict)
            for one in reversed(self._cells.get(key, [])[:WINDOW])
        )

    def segment(self, key: Key, began: datetime | None) -> Segment:
        """Return the present segment of a cell. `began` is the date of the last accepted level."""
        nights = tuple(reversed(list(self._present(key, began))))
        known = [one.memory for one in nights]
        counted = [one for one in known if one.variance is not None and one.freedom > 0]
        newest = self._cells.get(key, [])
        return Segment(
            nights,
            tuple(_value(one, self._stands(one.cell)) for one in nights),
            tuple(one.variance for one in counted if one.variance is not None),
            tuple(one.freedom for one in counted),
            next((one.memory.threshold for one in newest if one.cell.memory is not None), None),
            self._standing(newest),
        )

    def regressed(self, key: Key) -> frozenset[str]:
        """Return the nights on which a cell was worse, unless a person took the level as it was."""
        return frozenset(one.report.night for one in self._cells.get(key, []) if self._stands(one.cell))

    def quarantined_since(self, key: Key, tonight: datetime) -> str:
        """Return the day since when a series is in quarantine without a break."""
        since = tonight
        for one in self._cells.get(key, []):
            if one.cell.verdict is not NightVerdict.QUARANTINED:
                break
            since = one.report.began_at
        return f"{since:%Y-%m-%d}"

    def canary_values(self, device: str, slot: str, metric: str, content: str) -> list[float]:
        """Return a canary's values of earlier nights, the newest last, NaN for nights with another content."""
        return [
            next(
                (
                    one.value
                    for one in report.canary_values
                    if (one.device, one.slot, one.metric, one.content) == (device, slot, metric, content)
                ),
                math.nan,
            )
            for report in reversed(self.reports[:WINDOW])
        ]

    def _present(self, key: Key, began: datetime | None) -> Iterator[PastNight]:
        """Yield nights of the present segment, the newest first."""
        accepted: int | None = None
        for one in self._cells.get(key, []):
            # The accepted run began after its night did.
            if began is not None and (one.report.ended_at or one.report.began_at) < began:
                return
            if accepted is not None and one.cell.regression != accepted:
                return  # the level was accepted: what came before is another segment
            if one.cell.memory is None:
                continue
            yield one
            state = self._state(one.cell)
            if one.memory.new_segment and state is not RegressionState.INVALID:
                return
            if state is RegressionState.ACCEPTED:
                accepted = one.cell.regression

    def _state(self, cell: NightCell) -> RegressionState | None:
        found = self._regressions.get(cell.regression) if cell.regression is not None else None
        return None if found is None else found.state

    def _stands(self, cell: NightCell) -> bool:
        """Say whether a night of a cell says nothing of the level, because a regression stood."""
        return cell.verdict in REGRESSED and self._state(cell) not in _OVER

    def _standing(self, newest: Sequence[PastNight]) -> OpenRegression | None:
        """Return the standing regression of a cell, by the newest judging night."""
        if not newest or newest[0].cell.regression is None:
            return None
        found = self._regressions.get(newest[0].cell.regression)
        if found is None or found.state not in STANDING:
            return None
        # A night that measured nothing of the cell, such as one with a lost device, says nothing of the change.
        cells = [one.cell for one in newest if one.cell.regression == found.id]
        changes = (one.memory.change for one in cells if one.memory is not None)
        change = next((one for one in changes if one is not None), None)
        verdict = next((one.verdict for one in cells if one.verdict in REGRESSED), NightVerdict.CONFIRMED)
        known = found.state is RegressionState.ACKNOWLEDGED
        since = found.confirmed_night or found.first_night
        return OpenRegression(found.id, change, since, known, verdict)


def _is_good(one: PastNight) -> bool:
    return one.cell.verdict in GOOD and one.memory.value is not None and not one.memory.suspected


def _value(one: PastNight, stands: bool) -> float:
    return math.nan if stands or one.memory.value is None else one.memory.value


def _counting(report: NightReport, excluded: frozenset[str]) -> NightReport:
    """Return a report without the cells whose run a person has excluded since."""
    return replace(report, cells=tuple(cell for cell in report.cells if cell.cell.run not in excluded))


def read_past(store: Roles, nightly: str, but: str, before: datetime | None = None) -> Past:
    """Read the ended nights of a nightly, without `but` and without nights that began at `before` or later."""
    regressions = store.regressions.regressions(nightly)
    records = list(store.nights.nights(nightly, limit=NIGHTS_READ + 1 if before is None else None))
    read = {record.id for record in records}
    # A regression may stand for longer than that, and its baseline is older than the regression.
    for first in sorted({one.first_night for one in regressions if one.state in STANDING} - read):
        older = store.nights.nights(nightly, WINDOW, before=first)
        records += [one for one in older if one.id not in read]
        read |= {one.id for one in older}
    records.sort(key=lambda one: (one.began_at, one.id), reverse=True)
    reports, excluded = [], store.words.excluded_runs()
    for record in records:
        if record.id == but or record.report is None or (before is not None and record.began_at >= before):
            continue
        try:
            reports.append(_counting(from_document(record.report), excluded))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the report of night {record.id} cannot be read: {error!r}") from None
    return Past(reports, regressions)
