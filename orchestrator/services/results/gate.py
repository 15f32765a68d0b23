"""Find a gate's reasons to refuse a comparison. A cell without a verdict is no reason to pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.domain.comparison import (
    Agreement,
    ComparisonGroup,
    ComparisonRow,
    OutputsAgreement,
    Ratio,
    Side,
    Verdict,
)
from orchestrator.domain.gate import GateKind, GateReason, GateTerms
from orchestrator.domain.metric import SIGNED_METRICS, SIZE_METRIC, accuracy_loss, is_accuracy
from orchestrator.services.results.accuracy import ROUNDING


def reasons(row: ComparisonRow, base: Side | None, cell: str, metric: str, terms: GateTerms) -> tuple[GateReason, ...]:
    """Return the reasons against one row. `cell` names the row's cell in words."""
    if base is None:
        return ()
    changed = tuple(_of_environment(row, cell, metric)) if terms.needs_environment else ()
    found = [*_of_value(row, base, metric), *_of_accuracy(row.side, base, terms)]
    # A cell without any value has no outputs either, and one reason is enough.
    if terms.needs_agreement and row.side.value is not None:
        found += _of_outputs(row.outputs)
    return (*(GateReason(kind, cell, text) for kind, text in found), *changed)


def warnings(row: ComparisonRow, cell: str, metric: str, terms: GateTerms) -> tuple[GateReason, ...]:
    """Return the changed environments passed by the gate, for a person to know."""
    return () if terms.needs_environment else tuple(_of_environment(row, cell, metric))


def _of_environment(row: ComparisonRow, cell: str, metric: str) -> Iterator[GateReason]:
    if row.verdict is Verdict.ENVIRONMENT_CHANGED and row.ratio is not None:
        why = "; ".join(row.notes)
        yield GateReason(GateKind.ENVIRONMENT_CHANGED, cell, f"{metric} {row.word}: {_figures(row.ratio)}: {why}")


def overall(groups: Sequence[ComparisonGroup]) -> tuple[GateReason, ...]:
    """Return the reasons against a whole comparison: no pair of cells says anything about a difference."""
    compared = [row for group in groups for row in group.rows if row.ratio is not None]
    # A size is known for certain, and an accuracy by its inputs: neither needs a second trial.
    if any(
        (row.ratio and row.ratio.p_value is not None) or row.verdict is not Verdict.INCONCLUSIVE for row in compared
    ):
        return ()
    why = "no side has two trials" if compared else "no two cells both have a value"
    return (GateReason(GateKind.NOTHING_COMPARED, None, f"nothing was compared: {why}"),)


def _of_value(row: ComparisonRow, base: Side, metric: str) -> Iterator[tuple[GateKind, str]]:
    side = row.side
    # A difference at or below zero was measured, though a ratio cannot be made of it.
    is_measured = metric in SIGNED_METRICS and side.trials > 0
    if base.value is not None and side.value is None and not is_measured:
        # Good trials without the metric say that the cell runs.
        failed = side.rejected is not None or (side.failed > 0 and not side.without_metric)
        kind = GateKind.DOES_NOT_LOAD if failed else GateKind.MISSING
        word = "does not run" if failed else "is missing"
        yield kind, f"{metric} {word}, and the other side has it{_why(row)}"
    elif side.value is not None and _mostly_fails(side, metric) and not _mostly_fails(base, metric):
        # Not the metric: the reason is the cell's, and is told once.
        yield GateKind.DOES_NOT_LOAD, f"{side.failed} trials failed, and {side.trials + side.without_metric} ran"
    # The drop of an accuracy is bounded, whatever its inputs say: see `_of_accuracy`.
    if row.verdict is Verdict.REGRESSED and row.ratio is not None and not is_accuracy(metric):
        yield GateKind.REGRESSED, f"{metric} {row.word}: {_figures(row.ratio)}"


def _mostly_fails(side: Side, metric: str) -> bool:
    """Say whether most trials of a side failed. The few others are no sample: the crashed trials may be the slow ones.

    A size has no trials, and neither has an accuracy.
    """
    has_trials = metric != SIZE_METRIC and not is_accuracy(metric)
    return has_trials and side.failed > side.trials + side.without_metric


def _why(row: ComparisonRow) -> str:
    return f": {'; '.join(row.notes)}" if row.notes else ""


def _figures(ratio: Ratio) -> str:
    text = f"ratio {ratio.value:.4g}"
    if ratio.low is not None and ratio.high is not None:
        text += f" [{ratio.low:.4g}, {ratio.high:.4g}]"
    return text


def _of_accuracy(side: Side, base: Side, terms: GateTerms) -> Iterator[tuple[GateKind, str]]:
    # A side without any value has a reason already.
    if base.accuracy is None or side.value is None:
        return
    metric = base.accuracy_metric or "accuracy"
    if side.accuracy is None:
        yield GateKind.MISSING, f"{metric} is missing, and the other side has it"
    elif side.accuracy_metric != base.accuracy_metric:
        yield GateKind.MISSING, f"{metric} is missing: the preflight measured {side.accuracy_metric}"
    # Not the other way round: a drop that is not a number must not pass.
    elif not accuracy_loss(metric, base.accuracy, side.accuracy) <= (largest := terms.largest_drop(metric)) + ROUNDING:
        whose = f"the default for {metric}" if terms.accuracy_drop is None else "--max-accuracy-loss"
        went = f"{metric} {'rose' if side.accuracy > base.accuracy else 'fell'}"
        yield (
            GateKind.LESS_ACCURATE,
            f"{went} from {base.accuracy:.4g} to {side.accuracy:.4g}: more than {largest:g} ({whose})",
        )


def _of_outputs(outputs: OutputsAgreement) -> Iterator[tuple[GateKind, str]]:
    if outputs.agreement is Agreement.AGREE:
        return
    if outputs.agreement is Agreement.UNKNOWN:
        yield GateKind.OUTPUTS_DISAGREE, f"outputs could not be compared: {outputs.reason or 'a side has none'}"
        return
    text = "outputs disagree"
    if outputs.max_difference is not None:
        text += f" by up to {outputs.max_difference:.3g}"
    yield GateKind.OUTPUTS_DISAGREE, text
