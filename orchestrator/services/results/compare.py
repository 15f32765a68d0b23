"""Compare a run's cells by one coordinate, all other coordinates equal, or with the same cells of another run.

Four steps, a file each: `selection` reads the cells, `pairing` sets each cell beside its base, `judging` concludes, and
`wording` adds the remarks on a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.analysis.verdict import adjusted
from orchestrator.domain.baseline import Baseline
from orchestrator.domain.comparison import Comparison, Kind, Tolerance
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.measurement import RUN, CellResult
from orchestrator.domain.metric import SIZE_METRIC, Metric, is_accuracy, metric_named
from orchestrator.domain.policy import CONFIDENCE, SIGNIFICANCE
from orchestrator.domain.run import MODELS_BETWEEN
from orchestrator.services.results.environment import movements
from orchestrator.services.results.gate import overall
from orchestrator.services.results.judging import Judging
from orchestrator.services.results.pairing import Pairing, estimates_of, groups, identity, pair_group
from orchestrator.services.results.selection import (
    base_values,
    cells_by_model,
    check_measured,
    check_varies,
    common_parents,
    lacking,
    left_out,
    select_levels,
    select_run,
)
from orchestrator.store.base import Results

Reasons = Mapping[str, str]
NO_REASONS: Reasons = {}


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Say how to compare.

    `min_effect` is a share; None takes the metric's own. `tolerance` is for the outputs. `kind` decides the words.
    `terms` are a gate's terms. `is_further`: another comparison beside it has outputs and accuracy.
    `may_lack`: an unmeasured metric is no error.
    """

    metric: str = "latency"
    min_effect: float | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    kind: Kind = Kind.BETWEEN_THINGS
    terms: GateTerms = field(default_factory=GateTerms)
    is_further: bool = False
    may_lack: bool = False


def compare(
    results: Results,
    run: str,
    by: str,
    base: str | None,
    options: CompareOptions = CompareOptions(),
) -> Comparison:
    """Compare every cell of the run with the base of its group. `run` is a whole run id.

    `base` is a value of the coordinate `by`, a glob, or for runtimes the beginning of a name. A base may match another
    value on each device, but never two values in one group. None takes the common parent of the variants of each model.
    Cells left out for their device are rows without a value.

    Raise IncompleteError for a run without cells. Raise ConfigError for an unmeasured metric, a coordinate with a
    single value, a base of no value or of two in a group, or variants without a common parent.
    """
    metric = metric_named(options.metric)
    _check_min_effect(options.min_effect)
    planned = select_run(results, run, metric.name)
    if not options.may_lack:
        check_measured(results, (run,), planned, run, options.metric)
    cells = [*planned, *left_out(results, run, planned, rules_too=False)]
    check_varies(cells, run, by)
    if base is None:
        parents = common_parents(results, run, by, planned)
        # A model without a common parent has no base: its cells say so.
        bases = {model: frozenset({parents[model]} if model in parents else ()) for model in cells_by_model(planned)}
        base = MODELS_BETWEEN.join(dict.fromkeys(parents.values()))
    else:
        bases = dict.fromkeys(cells_by_model(planned), base_values(planned, run, by, base))
    pairings = [
        pair_group(group, by, bases[group[0].cell.model])
        for group in groups(cells, by)
        if any(cell.absent is None for cell in group)
    ]
    return _Question(results, (run,), by, base, metric, options).answer(cells, pairings)


def compare_runs(
    results: Results, run: str, against: str, options: CompareOptions = CompareOptions(), reasons: Reasons = NO_REASONS
) -> Comparison:
    """Compare every cell of a run with the same cell of the run `against`. Both are whole run ids.

    A cell of `against` alone is a row without a value. `reasons` maps the devices of the run in a bad state to the
    reason.

    Raise IncompleteError if either run has no cells. Raise ConfigError for a metric measured by neither run.
    """
    base = select_run(results, against, metric_named(options.metric).name)
    return _over_time(results, run, against, base, options, reasons=reasons)


def compare_baseline(
    results: Results,
    run: str,
    levels: Sequence[Baseline],
    options: CompareOptions = CompareOptions(),
    reasons: Reasons = NO_REASONS,
) -> Comparison:
    """Compare every cell of a run with the level of the same cell in a baseline, the present level of `levels`.

    Raise ConfigError where no level is another run's, and the errors of `compare_runs`.
    """
    base = select_levels(results, run, levels, metric_named(options.metric).name)
    return _over_time(results, run, levels[0].name, base, options, reasons=reasons)


def _over_time(
    results: Results, run: str, against: str, base: Sequence[CellResult], options: CompareOptions, *, reasons: Reasons
) -> Comparison:
    metric = metric_named(options.metric)
    _check_min_effect(options.min_effect)
    here = select_run(results, run, metric.name)
    runs = tuple(dict.fromkeys((run, *(cell.cell.run for cell in base))))
    if not options.may_lack:
        check_measured(results, runs, [*here, *base], f"{run} or {against}", options.metric)
    shared = {identity(replace(cell.cell, run=run)) for cell in base}
    # What neither run measured says nothing about a change between them.
    excluded = [cell for cell in left_out(results, run, here, rules_too=True) if identity(cell.cell) in shared]
    here = [*here, *excluded]
    cells = [*base, *here, *lacking(here, base, run, reasons)]
    pairings = [pair_group(group, RUN, frozenset(runs[1:])) for group in groups(cells, RUN)]
    options = replace(options, kind=Kind.OVER_TIME)
    return _Question(results, runs, RUN, against, metric, options).answer(cells, pairings)


@dataclass(frozen=True, slots=True)
class _Question:
    """Hold the question: `runs` begins with the compared run, and the bases follow."""

    results: Results
    runs: tuple[str, ...]
    by: str
    base: str
    metric: Metric
    options: CompareOptions

    def answer(self, cells: Sequence[CellResult], pairings: Sequence[Pairing]) -> Comparison:
        """Judge the pairs of cells."""
        options = self.options
        # Outputs are the same in all metrics, and are read for the first alone.
        proofs = () if options.is_further else self.runs
        by_input = self.runs if is_accuracy(self.metric.name) else proofs
        pairs = [pair for pairing in pairings for pair in pairing.pairs]
        estimates = estimates_of(cells, pairs)
        min_effect = self.metric.min_effect if options.min_effect is None else options.min_effect
        # Size and accuracy are the bytes' own, on however busy a device.
        of_trials = (
            options.kind is Kind.OVER_TIME and self.metric.name != SIZE_METRIC and not is_accuracy(self.metric.name)
        )
        # Adjusted together: groups apart would each allow a share of false alarms.
        p_values = {pair: ratio.p_value for pair, ratio in estimates.ratios.items() if ratio.p_value is not None}
        judging = Judging(
            self.by,
            self.base,
            self.metric,
            min_effect,
            options.tolerance,
            {identity(outputs.cell): outputs for run in proofs for outputs in self.results.cell_outputs(run)},
            {identity(one.cell): one for run in by_input for one in self.results.cell_input_results(run)},
            estimates,
            dict(zip(p_values, adjusted(tuple(p_values.values())), strict=True)),
            options.kind,
            options.terms,
            several=len(cells_by_model(cells)) > 1,
            movements=movements(pairs, estimates.ratios, min_effect) if of_trials else {},
        )
        judged = tuple(judging.group(pairing) for pairing in pairings)
        return Comparison(
            self.runs[0],
            self.by,
            self.base,
            self.metric,
            min_effect=judging.min_effect,
            significance=SIGNIFICANCE,
            confidence=CONFIDENCE,
            tolerance=options.tolerance,
            tests=len(p_values),
            groups=judged,
            kind=options.kind,
            overall=overall(judged),
        )


def _check_min_effect(min_effect: float | None) -> None:
    if min_effect is not None and not 0 <= min_effect < math.inf:
        raise ConfigError(f"a minimum effect of {min_effect:g} makes no sense", hint="0.01 is one per cent")
