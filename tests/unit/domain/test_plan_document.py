"""What the bytes of a shipped plan still say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.plan_document import longest_s, remaining_s

TRIALS = [{"trial": "a.0", "kind": "preflight"}, *({"trial": f"a.{index}", "kind": "measure"} for index in (1, 2, 3))]


def document(trial_timeout_s: float = 600.0, **measure: float) -> bytes:
    rules: dict[str, Any] = {"warmup_seconds_min": 0.3, "seconds_min": 1.0, "seconds_max": 20.0, **measure}
    plan = {"trials": TRIALS, "measure": rules, "limits": {"trial_timeout_s": trial_timeout_s}}
    return json.dumps(plan).encode()


def test_a_slow_model_may_warm_up_and_measure_for_as_long_as_its_plan_allows() -> None:
    """Fifty runs of a second each end after `seconds_max`, as the warm-up before them does."""
    assert longest_s(document(), ()) == 4 * (1.0 + 2 * 20.0)
    assert remaining_s(document(), ()) < 10


def test_what_is_done_takes_no_more_time() -> None:
    assert longest_s(document(), ("a.0", "a.1", "a.2")) == 41.0
    assert longest_s(document(), [trial["trial"] for trial in TRIALS]) == 0.0


@pytest.mark.parametrize(("trial_timeout_s", "longest"), [(10.0, 10.0), (41.0, 41.0), (1000.0, 41.0)])
def test_no_trial_takes_longer_than_its_timeout(trial_timeout_s: float, longest: float) -> None:
    assert longest_s(document(trial_timeout_s), ("a.0", "a.1", "a.2")) == longest
