"""`runs resume --trials`: more trials of a run's cells, on record before a device hears of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Command,
    FollowEnded,
    Forget,
    PlanStarted,
    Report,
    SessionEnded,
)
from orchestrator.domain.errors import ConfigError, Unreachable
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.plan.extend import extensions
from orchestrator.domain.run import DeviceRunState, RunRecord, TrialState
from orchestrator.domain.run_details import RunDetails
from orchestrator.driving.driver import DriverTools, Intent
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.extend import MoreTrials, extend_run, read_more_trials
from orchestrator.services.runs.pick_up import pick_up
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import Sampled
from tests.unit.driving.test_drive import PI, RUN, Planner, ScriptedExecutor, drive, followed, log_of, whole_log


class Told(SilentDisplay):
    """Remembers what was said of devices."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, device: str, step: str, detail: str) -> None:
        self.said.append(detail)

    def warned(self, device: str, message: str, hint: str | None) -> None:
        self.said.append(message)


def record(store: Store) -> RunRecord:
    found = store.runs.find_run(RUN)
    assert found is not None
    return found


def extend(store: Store, wanted: MoreTrials) -> list[str]:
    told = Told()
    extend_run(record(store), wanted, frozenset({"pi-03"}), store, told)
    return told.said


def added(store: Store) -> list[list[str]]:
    document = store.plans.plan_document(RUN, "pi-03")
    assert document is not None
    return [list(one.added) for one in extensions(document)]


def measured(store: Store) -> int:
    return record(store).devices[0].trials.get(TrialState.MEASURED, 0)


@pytest.fixture
def complete(store: Store) -> Store:
    """A run of one cell with two measure trials, complete."""
    drive(store, ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))}))
    assert measured(store) == 2
    return store


def resume(store: Store, fate: str = "complete") -> tuple[RunDetails | None, ScriptedExecutor]:
    """Resume the run on a device that has forgotten the log, and measures what it is sent."""

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, "unknown", None, None)]
        if isinstance(command, Forget):
            return []
        assert isinstance(command, Assignment)
        if fate == "interrupted":
            raise KeyboardInterrupt
        document = store.plans.plan_document(RUN, "pi-03")
        assert document is not None
        log = log_of(PI, "log-2")
        left = [trial for one in extensions(document) for trial in one.added if trial not in command.skip]
        for trial in left:
            log._jobs[trial] = trial.split(".")[0]
            log.started(trial).finished(trial, [Sampled("latency_ns", [5])])
        return [PlanStarted("pi-03", RUN, "log-2"), *followed(log.run_finished())]

    executor = ScriptedExecutor({"pi-03": reply})
    tools = DriverTools(store, executor, SilentDisplay(), Planner())
    try:
        return pick_up(record(store), Intent.RESUME, Inventory({"pi-03": PI}), tools), executor
    except KeyboardInterrupt:
        return None, executor


def test_a_complete_run_is_extended_and_its_device_measures_what_was_added(complete: Store) -> None:
    assert extend(complete, MoreTrials(3, is_more=True)) == ["3 trials added to 1 cell"]
    details, executor = resume(complete)
    assert details is not None
    assert details.exit_code == 0
    assert measured(complete) == 5
    (assignment,) = (command for _, command in executor.posted if isinstance(command, Assignment))
    assert len(assignment.skip) == 3, "the preflight and the two trials are not run again"


def test_the_model_of_a_run_of_one_is_known_to_rules(complete: Store) -> None:
    model = record(complete).header.model
    with pytest.raises(ConfigError, match="--cells matches no cell of the run"):
        extend(complete, MoreTrials(1, True, ({"model": f"{model}2"},)))
    assert extend(complete, MoreTrials(1, True, ({"model": model},))) == ["1 trial added to 1 cell"]


def test_a_command_said_twice_adds_once_until_what_it_added_has_run(complete: Store) -> None:
    extend(complete, MoreTrials(3, is_more=True))
    assert resume(complete, "interrupted")[0] is None
    (said,) = extend(complete, MoreTrials(3, is_more=True))
    assert "3 of the trials added earlier have not run: going on with those, and nothing was added" in said
    assert [len(one) for one in added(complete)] == [3]
    details, _ = resume(complete)
    assert details is not None
    assert details.exit_code == 0
    assert measured(complete) == 5
    extend(complete, MoreTrials(1, is_more=True))
    assert [len(one) for one in added(complete)] == [3, 1], "once all have run, the command adds again"


def test_trials_added_behind_the_back_of_a_controller_run_with_the_next_resume(complete: Store) -> None:
    """The other controller followed the plan before to its end, and recorded the device as complete."""
    extend(complete, MoreTrials(2, is_more=True))
    complete.runs.set_device_state(RUN, "pi-03", DeviceRunState.COMPLETE)
    details, _ = resume(complete)
    assert details is not None
    assert details.exit_code == 0
    assert measured(complete) == 4


def test_a_number_in_all_is_reached_and_not_passed(complete: Store) -> None:
    assert extend(complete, MoreTrials(4, is_more=False)) == ["2 trials added to 1 cell"]
    resume(complete)
    assert measured(complete) == 4
    assert extend(complete, MoreTrials(4, is_more=False)) == ["every cell has as many trials already"]
    assert extend(complete, MoreTrials(1, is_more=False)) == ["every cell has as many trials already"]
    assert [len(one) for one in added(complete)] == [2]


def test_an_unfinished_run_gets_the_trials_beside_those_that_it_lacks(store: Store) -> None:
    begun = log_of(PI)
    drive(store, ScriptedExecutor({"pi-03": lambda _: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    store.logs.ingest([begun.arrived()])
    extend(store, MoreTrials(2, is_more=True))
    assert record(store).devices[0].state is DeviceRunState.RUNNING, "a live runner is not said to have stopped"
    assert record(store).devices[0].trials == {TrialState.PLANNED: 4}


def test_cells_are_named_by_rules_with_globs(complete: Store) -> None:
    (cell,) = {trial.label for trial in complete.progress.missing_trials(RUN)} or {"fp32"}
    variant = cell.split(" · ")[0]
    assert extend(complete, read_more_trials("+1", [f"variant={variant[0]}*,runtime=tflite*,threads=1"]))
    assert [len(one) for one in added(complete)] == [1]


def test_a_rule_that_matches_no_cell_is_refused_and_names_what_there_is(complete: Store) -> None:
    with pytest.raises(ConfigError, match="--cells matches no cell") as raised:
        extend(complete, read_more_trials("+1", ["variant=int99"]))
    assert "tflite-runtime==2.14.0" in str(raised.value.hint)
    with pytest.raises(ConfigError) as raised:
        extend(complete, read_more_trials("+1", ["varant=fp32"]))
    assert "variant" in str(raised.value.hint)


def test_a_rejected_cell_gets_no_trials(store: Store) -> None:
    log = log_of(PI)
    first, *others = log._jobs
    log.started(first).failed(first)
    for trial in others:
        log.skipped(trial)
    drive(store, ScriptedExecutor({"pi-03": lambda _: followed(log.run_finished())}))
    said = extend(store, MoreTrials(2, is_more=True))
    assert said == [
        "no trial was added to 1 cell that the preflight rejected",
        "no cell of the device gets more trials",
    ]
    assert added(store) == []


def test_a_device_without_a_plan_is_named_and_left(store: Store) -> None:
    drive(store, ScriptedExecutor({}, {"pi-03": SessionEnded("pi-03", Unreachable("pi-03", "no route to host"))}))
    assert extend(store, MoreTrials(2, is_more=True)) == ["it has no plan yet, so that no trial can be added"]


@pytest.mark.parametrize("wrong", ["", "+", "-3", "0", "+0", "3.5", "many", "+99999", "٣"])
def test_what_is_no_number_of_trials_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is no number of trials") as raised:
        read_more_trials(wrong)
    assert "+3 adds three trials" in str(raised.value.hint)


@pytest.mark.parametrize("wrong", ["", "variant", "variant=", "=fp32", "variant=fp32,"])
def test_what_names_no_cell_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="names no cell"):
        read_more_trials("+3", [wrong])


def test_a_rule_may_name_a_runtime_with_its_version() -> None:
    wanted = read_more_trials("8", ["runtime=tflite-runtime==2.14.0, threads=1"])
    assert wanted == MoreTrials(8, False, ({"runtime": "tflite-runtime==2.14.0", "threads": "1"},))
