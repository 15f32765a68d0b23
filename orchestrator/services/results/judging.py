"""Judge pairs of cells: a row with a verdict for each pair, and a group for each base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.agreement.outputs import agreement
from orchestrator.analysis.ratio import RatioEstimate, Spread
from orchestrator.analysis.settling import trials_to_settle
from orchestrator.analysis.verdict import judge, judge_exact
from orchestrator.domain.comparison import (
    AccuracyTest,
    ComparisonGroup,
    ComparisonRow,
    Kind,
    Ratio,
    Side,
    Tolerance,
    TrialsRange,
    Verdict,
)
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.measurement import COORDINATES, CellOutputs, CellResult
from orchestrator.domain.metric import SIZE_METRIC, Metric, is_accuracy
from orchestrator.domain.policy import HEADLINE_METRIC, TRIALS_MAX, VERDICT_LEVEL
from orchestrator.domain.remark import RemarkKind, implausible
from orchestrator.domain.sweep import setting_text, setting_texts
from orchestrator.domain.verdict_word import LESS_ACCURATE, verdict_word
from orchestrator.services.results.accuracy import bought, compare_accuracy
from orchestrator.services.results.environment import (
    Movements,
    blamed,
    environment_notes,
    mixed_environments,
    moved_since,
)
from orchestrator.services.results.gate import reasons, warnings
from orchestrator.services.results.pairing import Estimates, Pair, Pairing, identity
from orchestrator.services.results.wording import apart, clipped, notes, remarks, set_aside


@dataclass(frozen=True, slots=True)
class Judging:
    """Hold the terms of every judgement.

    `p_adjusted` is keyed by `id()` of a pair, `outputs` and `input_results` by a cell's identity. `several`: the cells
    are of several models. `movements` are of the devices, over time.
    """

    by: str
    base: str
    metric: Metric
    min_effect: float
    tolerance: Tolerance
    outputs: Mapping[object, CellOutputs]
    input_results: Mapping[object, CellInputResults]
    estimates: Estimates
    p_adjusted: Mapping[int, float]
    kind: Kind = Kind.BETWEEN_THINGS
    terms: GateTerms = field(default_factory=GateTerms)
    several: bool = False
    movements: Movements = field(default_factory=dict)

    def group(self, pairing: Pairing) -> ComparisonGroup:
        """Return a group with its verdicts. A group without a base has a note instead of ratios."""
        cell = (pairing.base or pairing.pairs[0].other).cell
        coordinates = dict(cell.coordinates)
        coordinates.pop(self.by, None)  # what a group has in common is every coordinate but this
        device = None if self.by == "device" else str(coordinates.pop("device"))
        missing_base = f"no {self.by} {self.base} here"
        return ComparisonGroup(
            cell.model,
            device,
            coordinates,
            self._side(pairing.base) if pairing.base else None,
            tuple(self._row(pair) for pair in pairing.pairs),
            (
                *mixed_environments(pairing.base, self.kind),
                *notes(pairing.base),
                *set_aside(self.estimates.spreads.get(id(pairing.base))),
            )
            if pairing.base
            else (missing_base,),
            cell.model if self.several else None,
        )

    def _row(self, pair: Pair) -> ComparisonRow:
        row = self._judged(pair)
        base = self._side(pair.base) if pair.base else None
        coordinates = [
            setting_text(value) for name, value in pair.other.cell.coordinates.items() if name in COORDINATES
        ]
        settings = setting_texts(
            (name, value) for name, value in pair.other.cell.coordinates.items() if name not in COORDINATES
        )
        model = [pair.other.cell.model] if self.several else []
        name = " · ".join((*model, *coordinates, *settings))
        found = reasons(row, base, name, self.metric.name, self.terms)
        return replace(row, reasons=found, warnings=warnings(row, name, self.metric.name, self.terms))

    def _judged(self, pair: Pair) -> ComparisonRow:
        estimate, p_adjusted = self.estimates.ratios.get(id(pair)), self.p_adjusted.get(id(pair))
        accuracy = compare_accuracy(pair, self.input_results, self.terms)
        verdict, movement = Verdict.NOT_COMPARABLE, self.movements.get(moved_since(pair))
        if estimate is not None:
            verdict = blamed(self._verdict(estimate, pair, accuracy), pair, self.kind, estimate, movement)
        loss = bought(verdict, self.metric.name, pair, self.terms)
        if loss is not None:
            verdict = Verdict.NOT_COMPARABLE
        base_size = pair.base.size_bytes if pair.base else None
        base_accuracy = pair.base.accuracy if pair.base else None
        total = trials_to_settle(estimate, self.min_effect) if estimate and verdict is Verdict.INCONCLUSIVE else None
        return ComparisonRow(
            # By the pair: a trial set aside in the cell alone may count beside a base with the same two levels.
            self._side(pair.other, estimate.other if estimate else None),
            verdict,
            self._ratio(estimate, p_adjusted),
            _trials_more(estimate, total),
            pair.other.size_bytes / base_size if base_size and pair.other.size_bytes is not None else None,
            _difference(base_accuracy, pair.other.accuracy) if _same_accuracy(pair) else None,
            agreement(
                self.outputs.get(identity(pair.base.cell)) if pair.base else None,
                self.outputs.get(identity(pair.other.cell)),
                self.tolerance,
            ),
            (
                *environment_notes(pair, verdict, self.kind, movement),
                *notes(pair.other),
                *apart(pair),
                *clipped(pair),
                *self._implausible(pair, estimate),
                *(remarks(estimate, verdict, self.min_effect) if self._has_trials(accuracy) else ()),
            ),
            LESS_ACCURATE if loss is not None else verdict_word(verdict, self.metric, self.kind),
            total,
            accuracy,
            bought=loss,
        )

    def _implausible(self, pair: Pair, estimate: RatioEstimate | None) -> Iterator[str]:
        """Warn of a variant that is too fast to be the same model."""
        if estimate is None or pair.base is None or self.by != "variant" or self.metric.name != HEADLINE_METRIC:
            return
        words = implausible(estimate.ratio, 1.0, str(pair.base.cell.at(self.by)))
        if words is not None:
            yield f"{RemarkKind.IMPLAUSIBLY_FAST}: {words}"

    def _has_trials(self, accuracy: AccuracyTest | None) -> bool:
        """Say whether trials decide, rather than the size of a file, or the inputs of an accuracy."""
        by_input = is_accuracy(self.metric.name) and accuracy is not None
        return self.metric.name != SIZE_METRIC and not by_input

    def _verdict(self, estimate: RatioEstimate, pair: Pair, accuracy: AccuracyTest | None) -> Verdict:
        if self.metric.name == SIZE_METRIC:
            return judge_exact(estimate.ratio, self.metric.direction, self.min_effect)
        # An accuracy has one value a cell, and its inputs say how sure that is.
        if accuracy is not None and self.metric.name == pair.other.accuracy_metric:
            return accuracy.verdict
        return judge(estimate, self.metric.direction, self.min_effect)

    def _side(self, result: CellResult, spread: Spread | None = None) -> Side:
        spread = spread or self.estimates.spreads.get(id(result))
        variance = spread.log_variance if spread else None
        return Side(
            at=result.cell.at(self.by),
            trials=len(result.trial_values),
            value=spread.centre if spread else None,
            spread=math.sqrt(variance) if variance is not None else None,
            size_bytes=result.size_bytes,
            accuracy=result.accuracy,
            invalid=result.invalid,
            failed=result.failed,
            missing=result.missing,
            without_metric=result.without_metric,
            rejected=result.rejected,
            sources=result.sources,
            set_aside=spread.set_aside if spread else (),
            accuracy_metric=result.accuracy_metric,
            clipped_ratio=result.clipped_ratio,
        )

    def _ratio(self, estimate: RatioEstimate | None, p_adjusted: float | None) -> Ratio | None:
        if estimate is None:
            return None
        return Ratio(
            estimate.ratio,
            estimate.low,
            estimate.high,
            estimate.p_value,
            p_adjusted,
            estimate.p_equivalent(self.min_effect),
            estimate.detectable(VERDICT_LEVEL),
        )


def _trials_more(estimate: RatioEstimate | None, total: TrialsRange | None) -> int | None:
    if estimate is None or total is None or total.most > TRIALS_MAX:
        return None
    return total.most - min(estimate.base.n, estimate.other.n)


def _difference(base: float | None, other: float | None) -> float | None:
    return None if base is None or other is None else other - base


def _same_accuracy(pair: Pair) -> bool:
    # The top-1 of one side less another metric of the other means nothing.
    return pair.base is not None and pair.base.accuracy_metric == pair.other.accuracy_metric
