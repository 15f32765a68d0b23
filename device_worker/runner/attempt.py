"""Execute an attempt at a trial: prepare the folder, run the process, and return the result."""

from __future__ import annotations

import json
import os
import sys

import device_worker
from device_worker.protocol.cpu_list import BadCpuList, parse_cpu_list
from device_worker.protocol.errors import BadBundle, Interrupted
from device_worker.protocol.vocabulary import FailureKind, Outcome
from device_worker.runner import failures
from device_worker.runner.environment import TrialEnvironment
from device_worker.runner.placement import PADDING_VARIABLE, Placements
from device_worker.runner.programs import Programs
from device_worker.runner.trial_output import TrialOutput
from device_worker.runner.trial_process import EndedBy, TrialCommand, run_process
from device_worker.runner.workspace import MissingFile, Workspace
from device_worker.sensing.clocks import ClockWatch
from device_worker.sensing.conditions.base import TrialSeen
from device_worker.sensing.conditions.frequency import Frequency
from device_worker.sensing.power.account import Measured
from device_worker.sensing.readings import read_memory_available_bytes
from device_worker.sensing.temperature_watch import TemperatureWatch
from device_worker.system.leftovers import MARKER_VARIABLE
from device_worker.system.process_identity import python_executable
from device_worker.system.processors import refuse_unusable
from device_worker.trial.runtimes import ENGINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.plan import Job, Plan, PlannedTrial
    from device_worker.runner.placement import Placement
    from device_worker.runner.trial_process import Ending
    from device_worker.sensing.power.opening import AnyMeter
    from device_worker.sensing.power.sampler import Sampler
    from device_worker.state.blobs import BlobStore
    from device_worker.state.bundles import BundleStore
    from device_worker.system.containment import Containment
    from device_worker.system.wakeups import SignalWakeups

_MEMORY_SHARE = 0.9


class AttemptResult:
    """The result of an attempt, as `trial-finished` records it.

    `was_stopped` is True if the runner was told to stop in the middle of the attempt.
    """

    __slots__ = (
        "duration_ns",
        "environment",
        "failure",
        "input_results",
        "median_ns",
        "metrics",
        "outputs",
        "placement",
        "power",
        "profile",
        "recording",
        "runtime",
        "seen",
        "was_stopped",
        "watch_cpu_ns",
        "window",
    )

    def __init__(self, failure: dict[str, Any] | None) -> None:
        self.failure = failure
        self.duration_ns = 0
        self.runtime: dict[str, Any] | None = None
        self.metrics: list[dict[str, Any]] = []
        self.median_ns: float | None = None
        self.outputs: dict[str, Any] | None = None
        self.input_results: dict[str, Any] | None = None
        self.window: dict[str, Any] | None = None
        self.power: dict[str, Any] | None = None
        self.profile: dict[str, Any] | None = None
        self.recording: Recording | None = None
        self.placement: Placement | None = None
        self.environment: dict[str, Any] | None = None
        self.was_stopped = False
        self.seen = TrialSeen()
        self.watch_cpu_ns: int | None = None

    @property
    def outcome(self) -> str:
        """Whether the attempt is ok, as a value of `Outcome`."""
        return Outcome.OK if self.failure is None else Outcome.FAILED


class Recording:
    """What was recorded of the power of an attempt, not yet judged. `sampler` is None without a source."""

    __slots__ = ("measured", "sampler")

    def __init__(self, sampler: Sampler | None, measured: Measured) -> None:
        self.sampler = sampler
        self.measured = measured


class Attempts:
    """Executes the attempts of a run.

    `work_dir` is the folder of each attempt, made anew. `marker` marks the environment of all processes of the run.
    `machine_fd` is the file of the machine's lock, for the trials to inherit.
    """

    def __init__(
        self,
        plan: Plan,
        blobs: BlobStore,
        bundles: BundleStore,
        work_dir: str,
        *,
        marker: str,
        meter: AnyMeter,
        machine_fd: int,
    ) -> None:
        self._plan = plan
        self._blobs = blobs
        self._bundles = bundles
        self._work_dir = work_dir
        self._marker = marker
        self._meter = meter
        self._machine_fd = machine_fd
        self._programs = Programs()
        self._watches_clocks = Frequency.limit in plan.limits.conditions
        self._placements = Placements(plan.seed)
        self._environments = TrialEnvironment(plan.environment)

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Measure idle power before the first measure trial. Return True if the runner was told to stop."""
        return self._meter.measure_idle(wakeups)

    def execute(self, trial: PlannedTrial, wakeups: SignalWakeups, containment: Containment) -> AttemptResult:
        """Run an attempt and return the result. A failure of the trial is part of the result, and not raised."""
        job = self._plan.jobs[trial.job]
        with Workspace(self._work_dir, self._blobs) as workspace:
            try:
                launch, placement, environment = self._prepare(job, trial, workspace, wakeups)
            except Interrupted:
                return _stopped()
            except (MissingFile, BadBundle, BadCpuList, UnknownEngine) as error:
                return AttemptResult(failures.failure(FailureKind.START, str(error)))
            program = self._programs.find(launch) if job.is_exec else None
            sampler = self._meter.new_sampler() if trial.is_measured else None
            clocks = ClockWatch() if trial.is_judged and self._watches_clocks else None
            temperature = TemperatureWatch() if trial.is_judged else None
            watches = [watch for watch in (clocks, temperature) if watch is not None]
            ending = run_process(launch, wakeups, containment, sampler, watches)
        output = TrialOutput(ending.stdout)
        result = _result_of(ending, output, launch)
        if output.input_results is not None and result.failure is None:
            _add_input_results(result, output.input_results, job)
        result.placement, result.environment = placement, environment
        if self._plan.stop is not None and trial.is_measured and result.failure is None:
            result.median_ns = output.median_ns
        if program is not None:
            result.runtime = program.sign(result.runtime)
        result.seen = _seen(result, clocks)
        result.seen.temperature_peak_c = None if temperature is None else temperature.peak_c
        result.watch_cpu_ns = sum(watch.overhead_cpu_ns for watch in watches) or None
        if trial.is_measured and result.failure is None:
            measured = Measured(result.window, output.inferences, output.runs, output.invoked_ns, job.batch)
            result.recording = Recording(sampler, measured)
        return result

    def judge_power(self, result: AttemptResult, wakeups: SignalWakeups) -> None:
        """Add the meter's metrics, after idle power was measured again.

        To be called once the conditions after the attempt were read: idle time is no part of the attempt. If the trial
        reported a metric of the same name, keep the trial's.
        """
        recording, result.recording = result.recording, None
        if recording is None:
            return
        metrics, result.power = self._meter.judge(recording.sampler, recording.measured, wakeups)
        said = {metric["name"] for metric in result.metrics}
        result.metrics += [metric for metric in metrics if metric["name"] not in said]

    def _prepare(
        self, job: Job, trial: PlannedTrial, workspace: Workspace, wakeups: SignalWakeups
    ) -> tuple[TrialCommand, Placement, dict[str, Any]]:
        paths = self._place(job, workspace, wakeups)
        path = self._work_dir + ".json"
        with open(path, "w", encoding="ascii") as file:
            file.write(json.dumps(self._specification(job, trial, paths)))  # dump() would not use json's C code
        placement = self._placements.draw(
            trial.key, paths["python_path"], workspace.files, is_measured=trial.is_measured
        )
        environment, record = self._environment(job, trial, paths)
        environment[PADDING_VARIABLE] = "." * placement.padding_bytes
        launch = TrialCommand(_argv(job), workspace.path, environment, path)
        launch.kept_fds = (self._machine_fd,)
        launch.timeout_s = self._plan.limits.trial_timeout_s
        launch.memory_bytes = self._memory_bytes()
        launch.cpus = parse_cpu_list(job.settings.get("cpus"))
        refuse_unusable(launch.cpus)
        return launch, placement, record

    def _place(self, job: Job, workspace: Workspace, wakeups: SignalWakeups) -> dict[str, Any]:
        """Unpack the job's bundles and lay out the files. Return the paths, by the specification's keys."""
        python_path = [
            self._bundles.unpack(self._blobs.path(sha256), sha256, lambda: wakeups.is_stopping)
            for sha256 in job.python_path
        ]
        for file in job.files:
            workspace.add(file)
        return {
            "python_path": python_path,
            "model_path": None if job.model is None else workspace.add(job.model),
            "dataset_path": None if job.dataset is None else workspace.add(job.dataset),
            "files_dir": workspace.path,
        }

    def _specification(self, job: Job, trial: PlannedTrial, paths: dict[str, object]) -> dict[str, object]:
        return {
            "job": dict(job.document, **paths),
            "trial": trial.key,
            "kind": trial.kind,
            "seed": self._plan.seed,
            "measure": self._plan.measure.document,
        }

    def _environment(
        self, job: Job, trial: PlannedTrial, paths: dict[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the environment of a trial, and the record of it."""
        own: dict[str, object] = {
            "TRIAL": trial.key,
            "KIND": trial.kind,
            "SEED": self._plan.seed,
            "VARIANT": job.variant,
            "MODEL": paths["model_path"],
            "DATASET": paths["dataset_path"],
        }
        if job.command:
            # What the package was resolved for: a package with compiled modules fits no other Python.
            own.update(PYTHON=python_executable(), PACKAGES=next(iter(paths["python_path"]), None))
        own.update(self._plan.measure.document)
        own.update({f"SETTING_{name}": value for name, value in job.settings.items()})
        # An engine of the worker runs on one thread unless the cell says otherwise.
        threads = job.settings.get("threads", None if job.is_exec else 1)
        is_isolated = bool(job.python_path) and not job.is_exec
        environment, record = self._environments.make(threads=threads, is_isolated=is_isolated)
        for name, value in own.items():
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value)
                # No environment can hold a NUL character: with one the process would not start.
                environment["BENCHFLEET_" + _variable_name(name)] = text.replace("\0", "")
        environment[MARKER_VARIABLE] = self._marker
        return environment, record

    def _memory_bytes(self) -> int | None:
        limit = self._plan.limits.memory_bytes_max
        if limit is not None:
            return limit
        # Leave a share of the free memory to the runner and the system.
        available = read_memory_available_bytes()
        return None if available is None else int(available * _MEMORY_SHARE)


class UnknownEngine(Exception):
    """The job names an engine unknown to the worker."""


def _argv(job: Job) -> list[str]:
    """Return the command of a trial: the job's own, or Python with the worker's `trial`."""
    if job.is_exec:
        word = job.command[0]
        is_shipped = word in {file.name for file in job.files}
        return [f"./{word}" if is_shipped else word, *job.command[1:]]
    if job.engine not in ENGINES:
        raise UnknownEngine(f"no engine {job.engine!r}; this worker has exec, {', '.join(sorted(ENGINES))}")
    program = os.path.join(os.path.dirname(os.path.abspath(device_worker.__file__)), "__main__.py")
    return [python_executable(), *_isolation(bool(job.python_path)), program, "trial"]


def _isolation(is_bundled: bool) -> list[str]:
    """Return Python's options for a trial."""
    # Names of files are UTF-8, whatever the locale of the device is.
    utf8 = ["-X", "utf8"] if sys.flags.utf8_mode else []
    if is_bundled:
        return [*utf8, "-I"]  # no package and no variable of the device's user may get between a bundle's modules
    # A runtime of the system must be found in the same places as when the facts reported the runtime.
    flags = (("-E", sys.flags.ignore_environment), ("-s", sys.flags.no_user_site))
    return utf8 + [option for option, is_set in flags if is_set]


def _variable_name(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name.upper())


def _seen(result: AttemptResult, clocks: ClockWatch | None) -> TrialSeen:
    """Return what conditions of a trial are read from."""
    steady = next((one["value"] for one in result.metrics if one["name"] == "steady_ratio" and "value" in one), None)
    if clocks is None:
        return TrialSeen(steady)
    return TrialSeen(steady, clocks.percent(result.window), clocks.explain())


def _stopped() -> AttemptResult:
    result = AttemptResult(failures.failure(FailureKind.CANCELLED, "the run was cancelled"))
    result.was_stopped = True
    return result


def _add_input_results(result: AttemptResult, said: dict[str, Any], job: Job) -> None:
    """Add the results by input with the data set that they are of, or fail the attempt if no data set is known."""
    # A program may bring a data set of its own, and the job's is then another one.
    dataset = said.get("dataset_sha256") or (job.dataset.sha256 if job.dataset is not None else None)
    if dataset is None:
        words = "input_results without a data set: the job has none, and no dataset_sha256 is given"
        result.failure, result.metrics, result.outputs = failures.failure(FailureKind.GARBAGE, words), [], None
        return
    kept = {key: said[key] for key in ("metric", "encoding", "count", "data")}
    result.input_results = dict(kept, dataset_sha256=dataset)


def _result_of(ending: Ending, output: TrialOutput, launch: TrialCommand) -> AttemptResult:
    result = AttemptResult(failures.find_failure(ending, output, launch))
    result.duration_ns = ending.duration_ns
    result.was_stopped = ending.ended_by == EndedBy.STOP
    result.runtime = output.runtime
    result.window = output.window
    if result.failure is None:
        result.metrics = output.metrics()
        result.outputs = output.outputs
        result.profile = output.profile
    return result
