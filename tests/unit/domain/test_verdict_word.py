from __future__ import annotations

import pytest

from orchestrator.domain.comparison import Kind, Verdict
from orchestrator.domain.metric import metric_named
from orchestrator.domain.verdict_word import verdict_word


@pytest.mark.parametrize(
    ("metric", "worse", "better"),
    [
        ("latency", "slower", "faster"),
        ("load", "slower", "faster"),
        ("energy", "hungrier", "thriftier"),
        ("power", "hungrier", "thriftier"),
        ("memory", "larger", "smaller"),
        ("accuracy", "less accurate", "more accurate"),
        ("accuracy_iou", "less accurate", "more accurate"),
        ("involuntary_switches", "more", "fewer"),
    ],
)
def test_things_differ_in_words_of_the_metric_and_regress_over_time(metric: str, worse: str, better: str) -> None:
    named = metric_named(metric)

    assert verdict_word(Verdict.REGRESSED, named, Kind.BETWEEN_THINGS) == worse
    assert verdict_word(Verdict.IMPROVED, named, Kind.BETWEEN_THINGS) == better
    assert verdict_word(Verdict.REGRESSED, named, Kind.OVER_TIME) == "regressed"
    assert verdict_word(Verdict.NOT_COMPARABLE, named, Kind.BETWEEN_THINGS) == "not comparable"
