import pytest

from device_worker.sensing.conditions.table import CONDITIONS
from orchestrator.domain.condition import BUSY_WORDS, LIMITS, ConditionUse, breach_in_words
from orchestrator.domain.device import GOVERNOR_LIMIT


def test_the_words_of_other_work_are_words_of_the_worker() -> None:
    assert {condition.invalid for condition in CONDITIONS} >= BUSY_WORDS


def test_heat_alone_is_no_other_work() -> None:
    assert not ConditionUse("pi-03", 2, {"too-hot": 2}).was_busy
    assert ConditionUse("pi-03", 2, {"too-hot": 2, "cpu-steal": 1}).was_busy


def test_the_limits_are_those_of_the_worker() -> None:
    assert {kind.invalid: kind.limit for kind in CONDITIONS if kind.limit is not None} == LIMITS
    assert ConditionUse("pi-03", 2, {"throttled": 1, "other-load": 1}).limits == ("other_load_max_percent",)


PLANNED = {
    "frequency_min_percent": 95.0,
    "governor": "performance",
    "cpu_pressure_max_percent": 25.0,
    "temperature_c_max": 70.0,
}


def test_each_word_with_a_limit_is_one_of_the_worker() -> None:
    for condition in CONDITIONS:
        limit: float | str = "performance" if condition.limit == GOVERNOR_LIMIT else 5.0
        reading: float | str = "powersave" if condition.limit == GOVERNOR_LIMIT else 9.0
        if condition.limit is not None and "_min" in condition.limit:
            reading = 1.0
        limits = {} if condition.limit is None else {condition.limit: limit}
        words = breach_in_words(condition.invalid, {}, {condition.reading: reading}, limits)
        assert (words == condition.invalid) is (condition.limit is None)


@pytest.mark.parametrize(
    ("word", "before", "after", "expected"),
    [
        ("cpu-pressure", {}, {"cpu_pressure_percent": 96.04}, "cpu-pressure 96 % > 25 %"),
        ("cpu-pressure", {}, {"cpu_pressure_percent": 25.004}, "cpu-pressure 25.004 % > 25 %"),
        ("frequency-low", {}, {"frequency_percent": 61.2}, "frequency-low 61.2 % < 95 %"),
        ("frequency-low", {}, {"frequency_percent": 94.9999}, "frequency-low 94.9999 % < 95 %"),
        ("frequency-low", {}, {}, "frequency-low"),
        ("governor", {"governor": "ondemand"}, {"governor": "performance"}, "governor ondemand, not performance"),
        ("governor", {}, {"governor": 7}, "governor"),
        # The time before a trial is no part of the trial, and heat before a trial is.
        ("cpu-pressure", {"cpu_pressure_percent": 96.0}, {"cpu_pressure_percent": 3.0}, "cpu-pressure"),
        ("too-hot", {"temperature_c": 81.5}, {"temperature_c": 60.0}, "too-hot 81.5 °C > 70 °C"),
        ("too-hot", {}, {"temperature_c": "hot"}, "too-hot"),
        ("other-load", {}, {"other_load_percent": 40.0}, "other-load"),
        ("cpu-pressure-unknown", {}, {}, "cpu-pressure-unknown"),
    ],
)
def test_a_breach_says_reading_and_limit_where_both_are_on_record(
    word: str, before: dict[str, object], after: dict[str, object], expected: str
) -> None:
    assert breach_in_words(word, before, after, PLANNED) == expected
