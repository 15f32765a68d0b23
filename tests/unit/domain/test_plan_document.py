"""What the bytes of a shipped plan still say."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from device_worker.protocol.vocabulary import Event
from device_worker.runner.progress import Progress
from orchestrator.domain.log_bounds import LogBounds
from orchestrator.domain.plan.document import RECORDS_SLACK, log_bounds, longest_s, remaining_s
from orchestrator.domain.plan.power_time import PowerTime

if TYPE_CHECKING:
    from device_worker.protocol.plan import Plan

TRIALS = [{"trial": "a.0", "kind": "preflight"}, *({"trial": f"a.{index}", "kind": "measure"} for index in (1, 2, 3))]


def document(trial_timeout_s: float = 600.0, **measure: float) -> bytes:
    rules: dict[str, Any] = {"warmup_seconds_min": 0.3, "seconds_min": 1.0, "seconds_max": 20.0, **measure}
    plan = {"trials": TRIALS, "measure": rules, "limits": {"trial_timeout_s": trial_timeout_s}}
    return json.dumps(plan).encode()


def test_a_slow_model_may_warm_up_and_measure_for_as_long_as_its_plan_allows() -> None:
    """Fifty runs of a second each end after `seconds_max`, as the warm-up before them does."""
    assert longest_s(document(), ()) == 4 * (1.0 + 2 * 20.0)
    assert remaining_s(document(), (), PowerTime()) < 10


def test_what_is_left_takes_its_time_for_power_too() -> None:
    power = PowerTime(first_s=5.0, each_s=1.35, window_s=3.0)
    one_s = 1.0 + 0.3 + 3.0 + 1.35
    assert remaining_s(document(), ("a.0", "a.1", "a.2"), power) == pytest.approx(5.0 + one_s)
    assert remaining_s(document(), ("a.1", "a.2", "a.3"), power) == pytest.approx(2.0), "a preflight reads no power"


def test_what_is_done_takes_no_more_time() -> None:
    assert longest_s(document(), ("a.0", "a.1", "a.2")) == 41.0
    assert longest_s(document(), [trial["trial"] for trial in TRIALS]) == 0.0


@pytest.mark.parametrize(("trial_timeout_s", "longest"), [(10.0, 10.0), (41.0, 41.0), (1000.0, 41.0)])
def test_no_trial_takes_longer_than_its_timeout(trial_timeout_s: float, longest: float) -> None:
    assert longest_s(document(trial_timeout_s), ("a.0", "a.1", "a.2")) == longest


# ---- What the log of an honest runner keeps to


def bounded(trial_timeout_s: float = 120.0, cooldown_s_max: float = 120.0, **sizes: int) -> LogBounds:
    """Return the bounds of a plan with one job, whose bundle and model have these sizes in bytes."""
    bundle, model = sizes.get("bundle", 0), sizes.get("model", 0)
    job = {"python_path": ["b"], "files": [], "model": {"size": model}, "dataset": None, "input": {}}
    plan = {
        "jobs": [job],
        "trials": TRIALS,
        "limits": {"trial_timeout_s": trial_timeout_s, "cooldown_s_max": cooldown_s_max},
        "retries": {"failed": 0, "invalid": 1},
        "blobs": [{"sha256": "b", "size": bundle}],
    }
    return log_bounds(json.dumps(plan).encode())


@pytest.mark.parametrize(
    "silence_s",
    [
        pytest.param(120.0 + 60.0 + 120.0 + 5.0, id="cooled to the last, idle power of a slow source, killed at last"),
        pytest.param(120.0 + 3.0 + 60.0 + 120.0 + 50.0 + 40.0, id="slow sensors, and a process that dies late"),
    ],
)
def test_no_silence_of_an_honest_device_is_too_long(silence_s: float) -> None:
    assert silence_s < bounded().silence_s_max < 2 * silence_s


def test_a_long_trial_and_a_long_wait_for_cooling_are_no_silence() -> None:
    assert bounded(trial_timeout_s=86_400.0, cooldown_s_max=86_400.0).silence_s_max > 2 * 86_400.0


def test_a_bundle_that_is_unpacked_on_a_slow_card_is_no_silence() -> None:
    half_a_megabyte_a_second = 800_000_000 / 500_000
    assert bounded(bundle=800_000_000).silence_s_max - bounded().silence_s_max > half_a_megabyte_a_second
    assert bounded(model=3_000_000_000).silence_s_max - bounded().silence_s_max > 500


def test_a_runner_that_dies_and_fails_as_often_as_it_can_keeps_to_the_bound_of_records() -> None:
    """The worker's own bookkeeping decides how often a trial is tried: nothing here repeats it."""
    for failed, invalid in itertools.product((0, 2), (0, 3)):
        planned = {"failed": failed, "invalid": invalid}
        trials = [SimpleNamespace(key=str(n), job="a", is_measured=True, is_preflight=False) for n in range(30)]
        plan = SimpleNamespace(trials=trials, retries=SimpleNamespace(**planned), jobs={"a": None}, stop=None)
        progress = Progress(cast("Plan", plan), ())
        document = {
            "jobs": [],
            "trials": [{} for _ in trials],
            "limits": {"trial_timeout_s": 1.0, "cooldown_s_max": 0.0},
            "retries": planned,
            "blobs": [],
        }
        bound = log_bounds(json.dumps(document).encode()).records_max
        records = sum(1 for _ in worst_log(progress, invalid))
        assert 0.8 * (bound - RECORDS_SLACK) < records <= bound, (failed, invalid)


def worst_log(progress: Progress, invalid: int) -> Iterator[str]:
    """Yield the records of a run in which every attempt is lost as often as may be, and then ends badly."""
    yield "log-opened"
    while (step := progress.next_step()) is not None:
        identity = {"trial": step.trial.key}
        if not step.lost:
            progress.apply({"kind": Event.TRIAL_STARTED, **identity})
            yield "trial-started"
            progress.apply({"kind": Event.RUNNER_STARTED})
            yield "runner-started"
            continue
        end = {"outcome": "ok", "invalid": ["too-hot"]} if step.attempt <= 3 * invalid else {"outcome": "failed"}
        progress.apply({"kind": Event.TRIAL_FINISHED, **identity, **end})
        yield "trial-finished"
