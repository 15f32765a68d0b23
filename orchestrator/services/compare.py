"""Compare a run's cells by one coordinate, all others equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from orchestrator.analysis.outputs import agreement
from orchestrator.analysis.ratio import (
    CONFIDENCE,
    TRIALS_MAX,
    RatioEstimate,
    ratio_of_trials,
    spread,
    trials_to_settle,
    usable,
)
from orchestrator.analysis.verdict import SIGNIFICANCE, adjusted, judge
from orchestrator.domain.comparison import (
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    Ratio,
    Side,
    Tolerance,
    Verdict,
)
from orchestrator.domain.errors import ConfigError, IncompleteError
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult, setting_text
from orchestrator.domain.metric import METRICS, Metric, is_registered, metric_named
from orchestrator.domain.nearest import all_known, did_you_mean
from orchestrator.store.base import Results

SPREAD_UNKNOWN = "one trial on a side: the spread is unknown, and so is how many more would settle it"


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How to compare; without `min_effect` the metric's own holds."""

    metric: str = "latency"
    min_effect: float | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)


def compare(
    results: Results,
    run: str,
    by: str,
    base: str,
    options: CompareOptions = CompareOptions(),
) -> Comparison:
    """Compare every cell of the run with the base of its group; `run` is a whole run id.

    `base` is a value of the coordinate `by`, a glob, or for runtimes the beginning of a name: it may mean another
    value on each device, but never two in one group.
    """
    metric = metric_named(options.metric)
    cells = results.cell_results(run, metric.name)
    if not cells:
        raise _without_jobs(results, run)
    _check_min_effect(options.min_effect)
    _check_metric(cells, run, options.metric, results.measured_metrics(run))
    _check_varies(cells, run, by)
    bases = _matching_values(cells, run, by, base)
    pairings = [_pair(group, by, bases) for group in _groups(cells, by)]
    tested = [pair for pairing in pairings for pair in pairing.pairs if pair.p_value is not None]
    p_adjusted = adjusted([pair.p_value for pair in tested if pair.p_value is not None])
    judging = _Judging(
        by,
        base,
        metric,
        metric.min_effect if options.min_effect is None else options.min_effect,
        options.tolerance,
        {_identity(outputs.cell): outputs for outputs in results.cell_outputs(run)},
        {id(pair): p for pair, p in zip(tested, p_adjusted, strict=True)},
    )
    return Comparison(
        run,
        by,
        base,
        metric,
        min_effect=judging.min_effect,
        significance=SIGNIFICANCE,
        confidence=CONFIDENCE,
        tolerance=options.tolerance,
        tests=len(tested),
        groups=tuple(judging.group(pairing) for pairing in pairings),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """One cell against its base; no estimate where either has no usable value."""

    other: CellResult
    base: CellResult | None
    estimate: RatioEstimate | None

    @property
    def p_value(self) -> float | None:
        return self.estimate.p_value if self.estimate else None


@dataclass(frozen=True, slots=True)
class _Pairing:
    """A group's base, and each of its other cells paired with it."""

    base: CellResult | None
    pairs: tuple[_Pair, ...]


def _without_jobs(results: Results, run: str) -> IncompleteError:
    """Say that a run has nothing to compare, and which one has: `last` is the newest run, whatever became of it."""
    hint = f"benchfleet runs show {run} says why"
    newest = results.newest_run_with_results()
    if newest is not None:
        hint += f"; the newest run with results is {newest}"
    excluded = results.excluded_cells(run)
    if excluded:
        first = excluded[0]
        why = f"all its cells were excluded, such as {first.label} on {first.device}: {first.reason}"
    else:
        why = "no device of it was ever planned"
    return IncompleteError(f"run {run} has no jobs: {why}", hint=hint)


def _check_min_effect(min_effect: float | None) -> None:
    if min_effect is not None and not 0 <= min_effect < math.inf:
        raise ConfigError(f"a minimum effect of {min_effect:g} makes no sense", hint="0.01 is one per cent")


def _check_metric(cells: Sequence[CellResult], run: str, name: str, measured: Sequence[str]) -> None:
    """Refuse a metric that the run lacks; where it has none at all, a known one still shows why of each cell."""
    if any(cell.trial_values for cell in cells) or (is_registered(name) and not measured):
        return
    hint = all_known(measured) if measured else did_you_mean(name, METRICS)
    raise ConfigError(f"no trial of run {run} measured {name!r}", hint=hint)


def _check_varies(cells: Sequence[CellResult], run: str, by: str) -> None:
    names = dict.fromkeys(name for cell in cells for name in cell.cell.coordinates)
    values = {name: _values(cells, name) for name in names}
    if by not in values:
        raise ConfigError(f"run {run} does not vary anything called {by!r}", hint=did_you_mean(by, names))
    if len(values[by]) > 1:
        return
    varied = "; ".join(f"{name}: {', '.join(found)}" for name, found in values.items() if len(found) > 1)
    hint = f"what varies is {varied}" if varied else "every coordinate of it has one value"
    raise ConfigError(f"nothing to compare: every cell of run {run} has {by} {values[by][0]}", hint=hint)


def _values(cells: Iterable[CellResult], name: str) -> list[str]:
    return list(dict.fromkeys(setting_text(cell.cell.coordinates.get(name)) for cell in cells))


def _matching_values(cells: Iterable[CellResult], run: str, by: str, base: str) -> frozenset[str]:
    """Return the values of `by` that `base` means: itself if there is such a value, else what the pattern matches."""
    values = _values(cells, by)
    if base in values:
        return frozenset((base,))
    found = {value for value in values if fnmatchcase(value, base)}
    if not found and by == "runtime":
        found = {value for value in values if value.partition("==")[0] == base}
        found = found or {value for value in values if value.startswith(base)}
    if not found:
        raise ConfigError(f"run {run} has no {by} {base!r}", hint=all_known(values))
    return frozenset(found)


def _groups(cells: Iterable[CellResult], by: str) -> list[list[CellResult]]:
    """Put cells together that differ in `by` alone, in the order of their first cell."""
    groups: dict[object, list[CellResult]] = {}
    for cell in cells:
        groups.setdefault((cell.cell.model, _texts(cell.cell, without=by)), []).append(cell)
    return list(groups.values())


def _pair(group: Sequence[CellResult], by: str, bases: frozenset[str]) -> _Pairing:
    matching = [cell for cell in group if setting_text(cell.cell.coordinates.get(by)) in bases]
    if len(matching) > 1:
        names = [setting_text(cell.cell.coordinates.get(by)) for cell in matching]
        raise ConfigError(
            f"the base is ambiguous: {' and '.join(names)} on {matching[0].cell.device}", hint="name one of them"
        )
    base = matching[0] if matching else None
    return _Pairing(base, tuple(_Pair(cell, base, _estimate(base, cell)) for cell in group if cell is not base))


def _estimate(base: CellResult | None, other: CellResult) -> RatioEstimate | None:
    if base is None or not (usable(base.trial_values) and usable(other.trial_values)):
        return None
    return ratio_of_trials(base.trial_values, other.trial_values)


@dataclass(frozen=True, slots=True)
class _Judging:
    """What every row is judged by; `p_adjusted` is by the identity of its pair."""

    by: str
    base: str
    metric: Metric
    min_effect: float
    tolerance: Tolerance
    outputs: Mapping[object, CellOutputs]
    p_adjusted: Mapping[int, float]

    def group(self, pairing: _Pairing) -> ComparisonGroup:
        """Return a group with all its verdicts."""
        cell = (pairing.base or pairing.pairs[0].other).cell
        coordinates = dict(cell.coordinates)
        coordinates.pop(self.by, None)
        device = None if self.by == "device" else str(coordinates.pop("device"))
        missing_base = f"no {self.by} {self.base} here"
        return ComparisonGroup(
            cell.model,
            device,
            coordinates,
            self._side(pairing.base) if pairing.base else None,
            tuple(self._row(pair) for pair in pairing.pairs),
            _notes(pairing.base) if pairing.base else (missing_base,),
        )

    def _row(self, pair: _Pair) -> ComparisonRow:
        estimate, p_adjusted = pair.estimate, self.p_adjusted.get(id(pair))
        verdict = Verdict.NOT_COMPARABLE
        if estimate is not None:
            verdict = judge(estimate, p_adjusted, self.metric.direction, self.min_effect)
        base_size = pair.base.size_bytes if pair.base else None
        base_accuracy = pair.base.accuracy if pair.base else None
        more = self._trials_more(estimate, p_adjusted) if verdict is Verdict.INCONCLUSIVE else None
        return ComparisonRow(
            self._side(pair.other),
            verdict,
            _ratio(estimate, p_adjusted),
            more,
            pair.other.size_bytes / base_size if base_size and pair.other.size_bytes is not None else None,
            _difference(base_accuracy, pair.other.accuracy),
            agreement(
                self.outputs.get(_identity(pair.base.cell)) if pair.base else None,
                self.outputs.get(_identity(pair.other.cell)),
                self.tolerance,
            ),
            (*_notes(pair.other), *_remarks(estimate, p_adjusted, verdict, more)),
        )

    def _side(self, result: CellResult) -> Side:
        values = result.trial_values
        summary = spread(values) if usable(values) else None
        variance = summary.log_variance if summary else None
        return Side(
            at=result.cell.coordinates.get(self.by),
            trials=len(values),
            value=summary.centre if summary else None,
            spread=math.sqrt(variance) if variance is not None else None,
            size_bytes=result.size_bytes,
            accuracy=result.accuracy,
            invalid=result.invalid,
            failed=result.failed,
            missing=result.missing,
            without_metric=result.without_metric,
            rejected=result.rejected,
        )

    def _trials_more(self, estimate: RatioEstimate | None, p_adjusted: float | None) -> int | None:
        if estimate is None or estimate.p_value is None or p_adjusted is None:
            return None
        # the level at which this very p-value would have been significant among the others
        significance = SIGNIFICANCE * estimate.p_value / p_adjusted if p_adjusted else SIGNIFICANCE
        return trials_to_settle(estimate, self.min_effect, significance)


def _ratio(estimate: RatioEstimate | None, p_adjusted: float | None) -> Ratio | None:
    if estimate is None:
        return None
    return Ratio(estimate.ratio, estimate.low, estimate.high, estimate.p_value, p_adjusted)


def _difference(base: float | None, other: float | None) -> float | None:
    return None if base is None or other is None else other - base


def _notes(result: CellResult) -> tuple[str, ...]:
    """Say which trials are not in a cell's value, and why."""
    notes = []
    if result.rejected is not None:
        notes.append(f"rejected: {result.rejected}")
    if result.invalid:
        notes.append(f"{result.invalid} invalid {_trials(result.invalid)} excluded")
    if result.failed:
        notes.append(f"{result.failed} {_trials(result.failed)} failed")
    if result.missing:
        notes.append(f"{result.missing} {_trials(result.missing)} missing")
    if result.without_metric:
        notes.append(f"{result.without_metric} {_trials(result.without_metric)} did not measure {result.metric}")
    if result.trial_values and not usable(result.trial_values):
        notes.append("a trial's value is not above zero: no ratio")
    return tuple(notes)


def _remarks(
    estimate: RatioEstimate | None, p_adjusted: float | None, verdict: Verdict, more: int | None
) -> tuple[str, ...]:
    """Say what a reader of the interval alone would get wrong."""
    if estimate is None:
        return ()
    if estimate.p_value is None or p_adjusted is None:
        return (SPREAD_UNKNOWN,)
    remarks = []
    if estimate.p_value <= SIGNIFICANCE < p_adjusted:
        remarks.append("its interval excludes 1, which among this many comparisons may be chance")
    if estimate.low == estimate.high:
        remarks.append("no spread between trials: the interval has no width")
    if verdict is Verdict.INCONCLUSIVE and more is None:
        remarks.append(f"by what was seen, {TRIALS_MAX} trials a side would not settle it")
    return tuple(remarks)


def _trials(count: int) -> str:
    return "trial" if count == 1 else "trials"


def _identity(cell: Cell) -> object:
    return cell.model, _texts(cell)


def _texts(cell: Cell, without: str = "") -> tuple[tuple[str, str], ...]:
    """Return a cell's coordinates as text: True and 1 are different settings, though Python finds them equal."""
    return tuple((name, setting_text(value)) for name, value in cell.coordinates.items() if name != without)
