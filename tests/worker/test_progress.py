"""What a runner does next, from a plan and a log."""

import random

import pytest

import worker_plans
from device_worker.protocol.plan import Plan
from device_worker.runner.progress import Progress


class Simulation:
    """Runs a plan without processes: `outcome_of(trial, attempt)` says how each attempt ends."""

    def __init__(self, plan, skip=(), history=()):
        self.progress = Progress(plan, skip)
        self.log = list(history)
        for event in self.log:
            self.progress.apply(event)

    def value_of(self, _trial, _attempt):
        """The value of a good attempt."""
        return 1000

    def note(self, kind, **fields):
        event = dict(fields, kind=kind)
        self.log.append(event)
        self.progress.apply(event)

    def run(self, outcome_of, steps_max=1000, power_cut_at=None):
        for number in range(steps_max):
            step = self.progress.next_step()
            if step is None:
                self.note("run-finished", outcome="complete")
                return self
            name = step.trial.key
            if step.skip_reason is not None:
                self.note("trial-skipped", trial=name, reason=step.skip_reason)
                continue
            if step.spare_reason is not None:
                self.note("trial-spared", trial=name, reason=step.spare_reason)
                continue
            self.note("trial-started", trial=name, attempt=step.attempt)
            if number == power_cut_at:
                return self
            outcome, invalid = outcome_of(name, step.attempt)
            failure = {"kind": "timeout", "message": "slow"} if outcome == "failed" else None
            self.note(
                "trial-finished",
                trial=name,
                attempt=step.attempt,
                outcome=outcome,
                invalid=invalid,
                failure=failure,
                median_ns=None if outcome == "failed" else self.value_of(name, step.attempt),
                duration_ns=2_000_000_000,
            )
        raise AssertionError("the plan never ends")

    @property
    def attempts(self):
        return [(event["trial"], event["attempt"]) for event in self.log if event["kind"] == "trial-started"]


def plan_of(jobs=2, trials=2, preflight=False, failed=0, invalid=0, stop=None):
    builder = worker_plans.PlanBuilder()
    for index in range(jobs):
        builder.add_program(f"j{index}", trials=0)
    for index in range(trials + 1):
        for job in range(jobs):
            if index or preflight:
                kind = "measure" if index else "preflight"
                trial = {"trial": f"j{job}.{index}", "job": f"j{job}", "kind": kind, "index": index}
                builder.plan["trials"].append(trial)
    builder.plan["retries"] = {"failed": failed, "invalid": invalid}
    if stop is not None:
        builder.plan["stop"] = dict({"ci_halfwidth": 0.01, "trials_max": trials, "device_s_max": None}, **stop)
    return Plan.parse(builder.plan_bytes())


def all_good(_trial, _attempt):
    return "ok", []


def lose(simulation, trial, times):
    """Start attempts at a trial in whose middle everything ends."""
    for _ in range(times):
        simulation.note("trial-started", trial=trial)
        simulation.note("runner-started")


def test_a_trial_that_runners_never_survive_is_given_up_after_the_third():
    simulation = Simulation(plan_of())
    lose(simulation, "j0.1", 2)
    step = simulation.progress.next_step()
    assert (step.trial.key, step.attempt, step.lost) == ("j0.1", 3, 0)
    lose(simulation, "j0.1", 1)
    step = simulation.progress.next_step()
    assert (step.trial.key, step.attempt, step.lost) == ("j0.1", 3, 3)
    simulation.note("trial-finished", trial="j0.1", outcome="failed", failure={})
    assert simulation.progress.next_step().trial.key == "j1.1"


def test_a_trial_that_ends_between_two_lost_attempts_is_not_the_reason():
    simulation = Simulation(plan_of(failed=5))
    lose(simulation, "j0.1", 2)
    simulation.note("trial-started", trial="j0.1")
    simulation.note("trial-finished", trial="j0.1", outcome="failed", failure={})
    lose(simulation, "j0.1", 2)
    assert simulation.progress.next_step().lost == 0


def test_runners_that_die_before_any_trial_cost_none():
    simulation = Simulation(plan_of())
    lose(simulation, "j0.1", 1)
    for _ in range(5):
        simulation.note("runner-started")
    assert simulation.progress.next_step().lost == 0


def test_trials_run_in_the_order_of_the_plan():
    names = [name for name, _ in Simulation(plan_of()).run(all_good).attempts]
    assert names == ["j0.1", "j1.1", "j0.2", "j1.2"]


def test_a_failed_trial_is_repeated_before_the_next_one():
    simulation = Simulation(plan_of(failed=2)).run(lambda name, attempt: ("failed" if name == "j1.1" else "ok", []))
    assert simulation.attempts == [("j0.1", 1), ("j1.1", 1), ("j1.1", 2), ("j1.1", 3), ("j0.2", 1), ("j1.2", 1)]


def test_an_invalid_trial_is_repeated_at_the_end_of_the_plan():
    simulation = Simulation(plan_of(invalid=2)).run(lambda name, _: ("ok", ["too-hot"] if name[1] == "0" else []))
    assert simulation.attempts[4:] == [("j0.1", 2), ("j0.2", 2), ("j0.1", 3), ("j0.2", 3)]


def test_without_a_budget_an_invalid_trial_is_left_as_it_is():
    simulation = Simulation(plan_of(invalid=0)).run(lambda *_: ("ok", ["throttled"]))
    assert len(simulation.attempts) == 4


def test_an_invalid_attempt_that_then_fails_uses_the_budget_of_failures():
    outcomes = {1: ("ok", ["too-hot"]), 2: ("failed", [])}
    simulation = Simulation(plan_of(jobs=1, trials=1, invalid=3)).run(lambda _, attempt: outcomes[attempt])
    assert simulation.attempts == [("j0.1", 1), ("j0.1", 2)]


def test_a_failed_preflight_skips_its_job_and_says_why():
    simulation = Simulation(plan_of(preflight=True)).run(lambda name, _: ("failed" if name == "j0.0" else "ok", []))
    skipped = [event for event in simulation.log if event["kind"] == "trial-skipped"]
    assert [event["trial"] for event in skipped] == ["j0.1", "j0.2"]
    assert skipped[0]["reason"] == "its preflight j0.0 failed: timeout: slow"
    assert [name for name, _ in simulation.attempts] == ["j0.0", "j1.0", "j1.1", "j1.2"]


def test_a_preflight_that_the_controller_skips_has_passed():
    simulation = Simulation(plan_of(preflight=True), skip=["j0.0", "j1.0"]).run(all_good)
    assert [name for name, _ in simulation.attempts] == ["j0.1", "j1.1", "j0.2", "j1.2"]


@pytest.mark.parametrize("seed", range(40))
def test_power_cuts_anywhere_lose_nothing_and_repeat_only_what_was_interrupted(seed):
    source = random.Random(seed)
    plan = plan_of(jobs=3, trials=3, preflight=True, failed=source.randrange(3), invalid=source.randrange(3))
    fate = {trial.key: source.choice(["ok", "ok", "ok", "failed", "invalid", "mixed"]) for trial in plan.trials}

    def outcome_of(name, _attempt):
        kind = source.choice(["ok", "failed", "invalid"]) if fate[name] == "mixed" else fate[name]
        return ("failed", []) if kind == "failed" else ("ok", ["too-hot"] if kind == "invalid" else [])

    simulation = Simulation(plan)
    for _ in range(source.randrange(6)):
        simulation.run(outcome_of, power_cut_at=source.randrange(8))
        simulation = Simulation(plan, history=simulation.log)
    simulation.run(outcome_of)
    finished = [event for event in simulation.log if event["kind"] == "trial-finished"]
    for trial in plan.trials:
        mine = [event for event in finished if event["trial"] == trial.key]
        good = [event for event in mine if event["outcome"] == "ok" and not event["invalid"]]
        skipped = [
            event for event in simulation.log if event["kind"] == "trial-skipped" and event["trial"] == trial.key
        ]
        failed = [event for event in mine if event["outcome"] == "failed"]
        invalid = [event for event in mine if event["outcome"] == "ok" and event["invalid"]]
        assert len(good) + len(skipped) <= 1
        assert good or skipped or len(failed) > plan.retries.failed or len(invalid) > plan.retries.invalid
        assert len(failed) <= plan.retries.failed + 1
        assert len(invalid) <= plan.retries.invalid + 1
    numbers = simulation.attempts
    assert len(set(numbers)) == len(numbers)


def test_only_a_complete_or_cancelled_run_is_final():
    progress = Progress(plan_of(), ())
    for outcome, is_final in (("complete", True), ("cancelled", True), ("disk-full", False)):
        progress.apply({"kind": "run-finished", "outcome": outcome})
        assert progress.is_final is is_final
    progress.apply({"kind": "run-finished", "outcome": "complete"})
    progress.apply({"kind": "runner-started"})
    assert not progress.is_final


def test_events_of_an_unknown_kind_or_trial_change_nothing():
    progress = Progress(plan_of(), ())
    progress.apply({"kind": "comet-sighted", "trial": "j0.1"})
    progress.apply({"kind": "trial-finished", "trial": "unknown", "outcome": "ok"})
    assert progress.next_step().trial.key == "j0.1"


def steady_and_noisy(simulation):
    """Let the first job's trials agree, and the second job's scatter by a third."""
    noise = {f"j1.{index}": 1000 * (1 + index % 3 / 3) for index in range(40)}
    simulation.value_of = lambda trial, _attempt: noise.get(trial, 1_000_000 + int(trial.partition(".")[2]) % 3)
    return simulation


def spared(simulation):
    return [event["trial"] for event in simulation.log if event["kind"] == "trial-spared"]


def test_a_cell_whose_trials_agree_spares_its_rest_and_a_noisy_one_goes_on():
    done = steady_and_noisy(Simulation(plan_of(jobs=2, trials=10, stop={}))).run(all_good)
    assert [name for name, _ in done.attempts if name.startswith("j0")] == [f"j0.{index}" for index in range(1, 8)]
    assert spared(done) == ["j0.8", "j0.9", "j0.10"]
    assert len([name for name, _ in done.attempts if name.startswith("j1")]) == 10
    reasons = {event["reason"] for event in done.log if event["kind"] == "trial-spared"}
    assert [reason.partition(" within")[0] for reason in reasons] == ["stop rule: 7 trials agree"]


def test_invalid_and_failed_trials_are_no_agreement():
    def outcome_of(trial, attempt):
        return ("ok", ["throttled"]) if trial in ("j0.1", "j0.2") else all_good(trial, attempt)

    done = steady_and_noisy(Simulation(plan_of(jobs=1, trials=10, stop={}))).run(outcome_of)
    assert [name for name, _ in done.attempts] == [f"j0.{index}" for index in range(1, 10)]
    assert spared(done) == ["j0.10"]


def test_a_cell_ends_with_its_device_time():
    done = steady_and_noisy(Simulation(plan_of(jobs=2, trials=9, stop={"device_s_max": 16})))
    done.run(all_good)
    assert len([name for name, _ in done.attempts if name.startswith("j1")]) == 8
    assert any("has taken 16 s of 16 s" in event.get("reason", "") for event in done.log)


def test_a_power_cut_changes_nothing_about_what_is_spared():
    plan = plan_of(jobs=1, trials=10, stop={})
    whole = steady_and_noisy(Simulation(plan)).run(all_good)
    for cut in range(7):
        before = steady_and_noisy(Simulation(plan)).run(all_good, power_cut_at=cut)
        after = steady_and_noisy(Simulation(plan, history=[*before.log, {"kind": "runner-started"}]))
        after.run(all_good)
        assert spared(after) == spared(whole)


def test_trials_that_were_added_on_purpose_are_not_spared():
    done = steady_and_noisy(Simulation(plan_of(jobs=1, trials=11, stop={"trials_max": 8}))).run(all_good)
    assert spared(done) == ["j0.8"]
    assert [name for name, _ in done.attempts][-3:] == ["j0.9", "j0.10", "j0.11"]
