"""Merge the comparisons of several metrics: the first metric leads, and each row has the further metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from orchestrator.domain.comparison import (
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    Kind,
    MetricRow,
    Side,
    Verdict,
)
from orchestrator.domain.gate import GateKind, GateReason
from orchestrator.domain.metric import COMPARED_METRICS, metric_named
from orchestrator.domain.sweep import setting_text, setting_texts
from orchestrator.services.results.compare import CompareOptions

Ask = Callable[[CompareOptions], Comparison]
NOT_COMPARABLE = "not comparable"
_OF_ONE_METRIC = (GateKind.REGRESSED, GateKind.ENVIRONMENT_CHANGED)
_LACKS = (GateKind.MISSING, GateKind.DOES_NOT_LOAD)


def compare_named(ask: Ask, names: Sequence[str], options: CompareOptions) -> Comparison:
    """Compare in the metrics of `names`, which may be aliases, each once. `ask` compares in the metric of its options.

    Raise the errors of `ask`, such as for an unmeasured metric.
    """
    # By the metric, since two names may mean the same one. An error names what was asked for.
    given = {metric_named(name).name: name for name in reversed(names)}
    wanted = [given[name] for name in dict.fromkeys(metric_named(name).name for name in names)]
    first = ask(replace(options, metric=wanted[0]))
    return _merged(first, [ask(replace(options, metric=name, is_further=True)) for name in wanted[1:]])


def compare_usual(ask: Ask, valued: Collection[str], options: CompareOptions) -> Comparison:
    """Compare in the usual metrics with values. `valued` are the metrics with a value in a run of the bases.

    The first metric is asked for in any case. A further metric counts if both sides of a pair have values, or, over
    time, if the base has a value: a lost metric is told.
    """
    first = ask(replace(options, metric=COMPARED_METRICS[0]))
    further = []
    for name in COMPARED_METRICS[1:]:
        # A metric without a base has no ratio, and is not worth the question.
        if name in valued:
            found = ask(replace(options, metric=name, is_further=True, may_lack=True))
            further += [found] * _says_something(found)
    return _merged(first, further)


def _says_something(comparison: Comparison) -> bool:
    if any(row.ratio is not None for row in comparison.rows):
        return True
    bases = [group.base for group in comparison.groups if group.base is not None]
    return comparison.kind is Kind.OVER_TIME and any(base.value is not None for base in bases)


def _merged(first: Comparison, further: Sequence[Comparison]) -> Comparison:
    if not further:
        return first
    tables = [_Table(comparison) for comparison in further]
    groups = tuple(_merged_group(group, tables) for group in first.groups)
    # Something was compared as soon as one of the metrics was.
    overall = first.overall if all(comparison.overall for comparison in further) else ()
    return replace(first, groups=groups, further=tuple(one.metric for one in further), overall=overall)


class _Table:
    """Find the rows of a comparison by group and side: a baseline may have other levels in another metric."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._rows = {
            (_key(group), setting_text(row.side.at)): (group, row) for group in comparison.groups for row in group.rows
        }

    def find(self, group: ComparisonGroup, first: ComparisonRow) -> tuple[MetricRow, tuple[GateReason, ...]]:
        """Return the metric's row for a row of the first metric, and the warnings."""
        found = self._rows.get((_key(group), setting_text(first.side.at)))
        if found is None:
            unknown = replace(first.side, trials=0, value=None, spread=None, set_aside=())
            return self._row(None, replace(first, side=unknown, verdict=Verdict.NOT_COMPARABLE, ratio=None), ()), ()
        base, row = found[0].base, found[1]
        return self._row(base, row, tuple(one for one in row.reasons if _is_news(one, first))), row.warnings

    def _row(self, base: Side | None, row: ComparisonRow, reasons: tuple[GateReason, ...]) -> MetricRow:
        is_known = row.verdict is not Verdict.NOT_COMPARABLE or row.bought is not None
        return MetricRow(
            metric=self._comparison.metric,
            min_effect=self._comparison.min_effect,
            base=base,
            side=row.side,
            verdict=row.verdict,
            ratio=row.ratio,
            trials_more=row.trials_more if is_known else None,
            trials_total=row.trials_total if is_known else None,
            word=row.word if is_known else NOT_COMPARABLE,
            notes=row.notes,
            reasons=reasons,
            bought=row.bought,
        )


def _key(group: ComparisonGroup) -> object:
    return group.model, group.device, tuple(setting_texts(group.fixed.items()))


def _merged_group(group: ComparisonGroup, tables: Sequence[_Table]) -> ComparisonGroup:
    rows = []
    for row in group.rows:
        found = [table.find(group, row) for table in tables]
        reasons = (*row.reasons, *(reason for one, _ in found for reason in one.reasons))
        warnings = dict.fromkeys((*row.warnings, *(warning for _, warned in found for warning in warned)))
        metrics = tuple(one for one, _ in found)
        rows.append(replace(row, metrics=metrics, reasons=reasons, warnings=tuple(warnings)))
    return replace(group, rows=tuple(rows))


def _is_news(reason: GateReason, first: ComparisonRow) -> bool:
    """Say whether a reason concerns a metric alone. The first metric has the reasons against the whole cell."""
    if reason.kind in _OF_ONE_METRIC:
        return True
    return reason.kind in _LACKS and first.side.value is not None and reason not in first.reasons
