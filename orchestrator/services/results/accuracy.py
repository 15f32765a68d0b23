"""Compare the accuracies of two cells input by input, or say why only the shares can be compared."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.analysis.accuracy import accuracy_test, share_right
from orchestrator.domain.comparison import AccuracyMethod, AccuracyTest, Verdict
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.metric import Direction, accuracy_loss, is_accuracy, metric_named
from orchestrator.services.results.pairing import Pair, identity

ROUNDING = 1e-12
"""The difference of two shares has rounding errors, and a loss of exactly the largest one passes."""

_ROUNDING = 1e-6
"""The difference that a share may have from the count of its inputs: programs may report few digits."""


def compare_accuracy(pair: Pair, results: Mapping[object, CellInputResults], terms: GateTerms) -> AccuracyTest | None:
    """Return the test of a pair on the same inputs. Return None for a side without accuracy, or of another metric.

    `results` are keyed by the identity of cells. `terms` have the smallest relevant difference.
    """
    if pair.base is None or pair.base.accuracy is None or pair.other.accuracy is None:
        return None
    if pair.base.accuracy_metric != pair.other.accuracy_metric:
        return None
    base, other = (results.get(identity(side.cell)) for side in (pair.base, pair.other))
    if base is None or other is None:
        return _unpaired("no results by input here" if other is None else "the base has no results by input")
    reason = _unlike(base, other) or _doubt(pair.base, base, "there") or _doubt(pair.other, other, "here")
    if reason is not None:
        return _unpaired(reason)
    name = base.metric
    is_error = metric_named(name).direction is Direction.LOWER
    # The bound of an error is a share of the base's.
    margin = terms.largest_drop(name) * (pair.base.accuracy if is_error else 1.0)
    return accuracy_test(base, other, margin, lower_is_better=is_error)


def bought(verdict: Verdict, metric: str, pair: Pair, terms: GateTerms) -> str | None:
    """Return why a better value does not count: the side lost more accuracy than allowed. Return None if it counts."""
    base, other = pair.base, pair.other
    if verdict is not Verdict.IMPROVED or is_accuracy(metric) or base is None:
        return None
    if base.accuracy is None or other.accuracy is None or base.accuracy_metric != other.accuracy_metric:
        return None
    loss = accuracy_loss(base.accuracy_metric, base.accuracy, other.accuracy)
    if loss <= terms.largest_loss + ROUNDING:
        return None
    name = base.accuracy_metric or "accuracy"
    went = "rose" if other.accuracy > base.accuracy else "fell"
    return (
        f"{metric} was bought with accuracy: {name} {went} from {base.accuracy:.4g} to {other.accuracy:.4g}, "
        f"more than {terms.largest_loss:g} (--max-accuracy-loss)"
    )


def _unpaired(reason: str) -> AccuracyTest:
    return AccuracyTest(AccuracyMethod.UNPAIRED, reason=reason)


def _unlike(base: CellInputResults, other: CellInputResults) -> str | None:
    if base.dataset_sha256 != other.dataset_sha256:
        return f"data set {other.dataset_sha256[:12]} here, {base.dataset_sha256[:12]} there"
    if (base.count, base.encoding) != (other.count, other.encoding):
        return f"{other.count} inputs here, {base.count} there"
    return None


def _doubt(side: CellResult, results: CellInputResults, where: str) -> str | None:
    """Return the doubt about results of another metric, or with another sum than the accuracy."""
    if results.metric != side.accuracy_metric:
        return f"the results by input {where} are of {results.metric}"
    share = share_right(results)
    if share is not None and side.accuracy is not None and abs(share - side.accuracy) > _ROUNDING:
        return f"the results by input {where} add up to {share:.6g}, and not to the accuracy"
    return None
