"""Words that a run can have, and counts of its trials."""

from __future__ import annotations

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run import TrialCounts, TrialState, count_trials
from orchestrator.domain.run_words import checked_run_name, read_tags


@pytest.mark.parametrize("name", ["a", "Before.upgrade_2-x", "n" * 64, "lasting"])
def test_a_name_begins_with_a_letter(name: str) -> None:
    assert checked_run_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "2026-11-28", "20261128-0301", "last", "last-before", "a b", "a/b", "ä", "n" * 65, "a\n"]
)
def test_a_name_is_no_id_no_date_and_no_word_with_a_meaning(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        checked_run_name(name)


def test_a_tag_is_split_at_the_first_sign() -> None:
    assert read_tags(["branch=main", "flags=-O2 -DX=1", "a/b.c-d=é"]) == {
        "branch": "main",
        "flags": "-O2 -DX=1",
        "a/b.c-d": "é",
    }


@pytest.mark.parametrize(
    "text", ["branch", "=main", "branch=", "1=a", "a b=c", f"a={'v' * 201}", "a=\x1b[2J", "a=b\nc"]
)
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_tags([text])


def test_a_tag_has_one_value() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        read_tags(["a=1", "a=2"])


def test_a_skipped_trial_failed_with_its_preflight_and_a_running_one_is_missing() -> None:
    states = {state: place for place, state in enumerate(TrialState, 1)}
    counts = count_trials([states, {TrialState.MEASURED: 10}])
    assert counts == TrialCounts(
        measured=states[TrialState.MEASURED] + 10,
        invalid=states[TrialState.INVALID],
        failed=states[TrialState.FAILED] + states[TrialState.SKIPPED],
        missing=states[TrialState.PLANNED] + states[TrialState.RUNNING],
    )
    # A trial that the stop rule has spared is not wanted any more.
    assert counts.planned == sum(states.values()) - states[TrialState.SPARED] + 10
    assert counts.shortfall == f"{counts.failed} failed, {counts.invalid} invalid, {counts.missing} missing"
    assert TrialCounts(measured=3).shortfall == ""
