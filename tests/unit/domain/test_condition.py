from device_worker.sensing.conditions.table import CONDITIONS
from orchestrator.domain.condition import BUSY_WORDS, LIMITS, ConditionUse


def test_the_words_of_other_work_are_words_of_the_worker() -> None:
    assert {condition.invalid for condition in CONDITIONS} >= BUSY_WORDS


def test_heat_alone_is_no_other_work() -> None:
    assert not ConditionUse("pi-03", 2, {"too-hot": 2}).was_busy
    assert ConditionUse("pi-03", 2, {"too-hot": 2, "cpu-steal": 1}).was_busy


def test_the_limits_are_those_of_the_worker() -> None:
    assert {kind.invalid: kind.limit for kind in CONDITIONS if kind.limit is not None} == LIMITS
    assert ConditionUse("pi-03", 2, {"throttled": 1, "other-load": 1}).limits == ("other_load_max_percent",)
