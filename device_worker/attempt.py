"""Execute one attempt at a trial: prepare its folder, run its process, and tell what came of it."""

from __future__ import annotations

import json
import os
import sys

import device_worker
from device_worker import conditions, failures
from device_worker.bundles import BadBundle, Interrupted
from device_worker.containment import MARKER_VARIABLE
from device_worker.cpu_list import BadCpuList, check_cpus, parse_cpu_list
from device_worker.facts import python_executable
from device_worker.power.meter import Meter
from device_worker.programs import Programs
from device_worker.protocol.vocabulary import Failure, Outcome, TrialKind
from device_worker.runtimes import ENGINES
from device_worker.trial_output import TrialOutput
from device_worker.trial_process import EndedBy, Launch, run_process
from device_worker.workspace import MissingFile, Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.blobs import BlobStore
    from device_worker.bundles import BundleStore
    from device_worker.containment import Containment
    from device_worker.plan import Plan
    from device_worker.power.sampler import Sampler
    from device_worker.trial_process import Ending
    from device_worker.wakeups import SignalWakeups

EXEC_ENGINE = "exec"
_MEMORY_SHARE = 0.9


class AttemptResult:
    """What `trial-finished` says of an attempt; `was_stopped` where the runner was told to stop in the midst of it."""

    __slots__ = ("duration_ns", "failure", "metrics", "outputs", "power", "runtime", "was_stopped", "window")

    def __init__(self, failure: dict[str, Any] | None) -> None:
        self.failure = failure
        self.duration_ns = 0
        self.runtime: dict[str, Any] | None = None
        self.metrics: list[dict[str, Any]] = []
        self.outputs: dict[str, Any] | None = None
        self.window: dict[str, Any] | None = None
        self.power: dict[str, Any] | None = None
        self.was_stopped = False

    @property
    def outcome(self) -> str:
        """Whether the attempt is ok, as one of `Outcome`."""
        return Outcome.OK if self.failure is None else Outcome.FAILED


class Bench:
    """Everything that attempts of one run share."""

    def __init__(self, plan: Plan, blobs: BlobStore, bundles: BundleStore, work_dir: str, marker: str) -> None:
        self._plan = plan
        self._blobs = blobs
        self._bundles = bundles
        self._work_dir = work_dir
        self._marker = marker
        self._meter = Meter.open(plan.power["idle_s"])
        self._programs = Programs()

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Measure idle power before the first measure trial; return whether the runner was told to stop."""
        return self._meter.measure_idle(wakeups)

    def execute(self, trial: dict[str, Any], wakeups: SignalWakeups, containment: Containment) -> AttemptResult:
        """Run one attempt; whatever the trial does is a value in the result."""
        job = self._plan.jobs[trial["job"]]
        with Workspace(self._work_dir, self._blobs) as workspace:
            try:
                launch = self._prepare(job, trial, workspace, wakeups)
            except Interrupted:
                return _stopped()
            except (MissingFile, BadBundle, BadCpuList, UnknownEngine) as error:
                return AttemptResult(failures.failure(Failure.START, str(error)))
            program = self._programs.find(launch) if job["engine"] == EXEC_ENGINE else None
            sampler = self._meter.new_sampler() if trial["kind"] == TrialKind.MEASURE else None
            ending = run_process(launch, wakeups, containment, sampler)
        output = TrialOutput(ending.stdout)
        result = _result_of(ending, output, launch)
        if program is not None:
            result.runtime = program.sign(result.runtime)
        if sampler is not None and result.failure is None:
            self._add_power(result, sampler, output.inferences)
        return result

    def _add_power(self, result: AttemptResult, sampler: Sampler, inferences: int) -> None:
        """Add what the meter found; what the trial measured of itself under the same name stands."""
        metrics, result.power = self._meter.judge(sampler, result.window, inferences)
        said = {metric["name"] for metric in result.metrics}
        result.metrics += [metric for metric in metrics if metric["name"] not in said]

    def _prepare(
        self, job: dict[str, Any], trial: dict[str, Any], workspace: Workspace, wakeups: SignalWakeups
    ) -> Launch:
        python_path = [
            self._bundles.unpack(self._blobs.path(sha256), sha256, lambda: wakeups.is_stopping)
            for sha256 in job["python_path"]
        ]
        specification = self._specification(dict(job, python_path=python_path), trial, workspace)
        path = self._work_dir + ".json"
        with open(path, "w", encoding="ascii") as file:
            json.dump(specification, file)
        launch = Launch(_argv(job), workspace.path, self._environment(specification), path)
        launch.timeout_s = self._plan.limits["trial_timeout_s"]
        launch.memory_bytes = self._memory_bytes()
        launch.cpus = parse_cpu_list(job["settings"].get("cpus"))
        check_cpus(launch.cpus, frozenset(os.sched_getaffinity(0)))
        return launch

    def _specification(self, job: dict[str, Any], trial: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
        for file in job["files"]:
            workspace.add(file)
        paths = {
            "model_path": workspace.add(job["model"]),
            "dataset_path": workspace.add(job["dataset"]),
            "files_dir": workspace.path,
        }
        return {
            "job": dict(job, **paths),
            "trial": trial["trial"],
            "kind": trial["kind"],
            "seed": self._plan.seed,
            "measure": self._plan.measure,
        }

    def _environment(self, specification: dict[str, Any]) -> dict[str, str]:
        job = specification["job"]
        own = {
            "TRIAL": specification["trial"],
            "KIND": specification["kind"],
            "SEED": specification["seed"],
            "VARIANT": job["variant"],
            "MODEL": job["model_path"],
            "DATASET": job["dataset_path"],
        }
        own.update(specification["measure"])
        own.update({f"SETTING_{name}": value for name, value in job["settings"].items()})
        environment = dict(os.environ)
        for name, value in own.items():
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value)
                environment["BENCHFLEET_" + _variable_name(name)] = text.replace("\0", "")
        environment[MARKER_VARIABLE] = self._marker
        return environment

    def _memory_bytes(self) -> int | None:
        limit: int | None = self._plan.limits["memory_bytes_max"]
        if limit is not None:
            return limit
        available = conditions.read_memory_available_bytes()
        return None if available is None else int(available * _MEMORY_SHARE)


class UnknownEngine(Exception):
    """The job names an engine that this worker does not have."""


def _argv(job: dict[str, Any]) -> list[str]:
    """Return the command; a runtime of bundles is isolated from what the device has installed for its user."""
    if job["engine"] == EXEC_ENGINE:
        command: list[str] = list(job["command"])
        if command[0] in {file["name"] for file in job["files"]}:
            command[0] = f"./{command[0]}"
        return command
    if job["engine"] not in ENGINES:
        raise UnknownEngine(f"no engine {job['engine']!r}; this worker has exec, {', '.join(sorted(ENGINES))}")
    program = os.path.join(os.path.dirname(os.path.abspath(device_worker.__file__)), "__main__.py")
    return [python_executable(), *_isolation(bool(job["python_path"])), program, "trial"]


def _isolation(is_bundled: bool) -> list[str]:
    """Return Python's options: a system runtime is looked for just as the facts looked for it."""
    if is_bundled:
        return ["-I"]
    flags = (("-E", sys.flags.ignore_environment), ("-s", sys.flags.no_user_site))
    return [option for option, is_set in flags if is_set]


def _variable_name(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name.upper())


def _stopped() -> AttemptResult:
    result = AttemptResult(failures.failure(Failure.CANCELLED, "the run was cancelled"))
    result.was_stopped = True
    return result


def _result_of(ending: Ending, output: TrialOutput, launch: Launch) -> AttemptResult:
    result = AttemptResult(failures.find_failure(ending, output, launch))
    result.duration_ns = ending.duration_ns
    result.was_stopped = ending.ended_by == EndedBy.STOP
    result.runtime = output.runtime
    result.window = output.window
    if result.failure is None:
        result.metrics = output.metrics()
        result.outputs = output.outputs
    return result
