"""Room for a run's log: estimated, taken up, given back."""

import os

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.plan import Plan
from device_worker.state import log_reserve
from device_worker.state.log_reserve import REMAINDER_BYTES, LogReserve, log_bytes, result_bytes
from device_worker.system import mounts


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "reserve")


def held_bytes(path):
    return os.stat(path).st_blocks * 512


def test_the_reserve_takes_real_space_and_gives_it_back_down_to_a_remainder(path):
    room = LogReserve(path)
    room.lay(1 << 20)
    assert held_bytes(path) >= (1 << 20) + REMAINDER_BYTES
    room.give_back(1 << 19)
    assert held_bytes(path) < (1 << 20)
    room.give_back(1 << 30)
    assert held_bytes(path) >= REMAINDER_BYTES
    assert os.path.getsize(path) == REMAINDER_BYTES
    room.release()
    room.release()
    assert not os.path.exists(path)


def test_a_reserve_that_was_left_behind_is_laid_anew(path):
    LogReserve(path).lay(1 << 20)
    LogReserve(path).lay(0)
    assert os.path.getsize(path) == REMAINDER_BYTES


def test_too_little_room_is_told_in_figures_and_takes_up_none(path):
    free = mounts.free_bytes(os.path.dirname(path))
    with pytest.raises(WorkerError, match="the log of this run needs about") as refused:
        LogReserve(path).lay(free + (1 << 30))
    assert refused.value.kind == "disk-full"
    assert refused.value.details["needed_bytes"] > free
    assert refused.value.details["free_bytes"] > 0
    assert not os.path.exists(path)


def test_a_file_system_that_cannot_hold_room_holds_none(path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(log_reserve.os, "posix_fallocate", refuse)
    room = LogReserve(path)
    room.lay(1 << 20)
    room.give_back(100)
    assert not os.path.exists(path)


def test_the_estimate_follows_the_plan(plans):
    plans.add_program("job", trials=3)
    plans.add_trials("job", 0, preflight=True)
    plan = Plan.parse(plans.plan_bytes())
    measure, preflight = plan.trials[0], plan.trials[-1]
    few = result_bytes(plan, measure)
    assert result_bytes(plan, preflight) > 64 << 10
    plan.jobs["job"].accuracy_metric = "top1"
    assert result_bytes(plan, preflight) > 95 << 10, "a bit for each input, beside the outputs"
    plan.measure.seconds_min, plan.measure.runs_max = 10.0, 10**6
    assert result_bytes(plan, measure) > few + 10 * 5000 * 3
    plan.measure.runs_max = 100
    assert result_bytes(plan, measure) < few + 101 * 4
    once = log_bytes(plan, plan.trials)
    plan.retries.invalid = 2
    assert log_bytes(plan, plan.trials) == 3 * once
    assert log_bytes(plan, []) == 0
