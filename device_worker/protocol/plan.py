"""Read a device plan into typed values, and refuse a wrong plan before any trial begins."""

from __future__ import annotations

import json

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.errors import WorkerError
from device_worker.protocol.fields import BadField, Fields
from device_worker.protocol.files import BlobRef, JobFile
from device_worker.protocol.specification import EngineJob, MeasureRule, take_kind
from device_worker.protocol.vocabulary import ErrorKind, TrialKind

EXEC_ENGINE = "exec"
IDLE_S = 5.0
"""Seconds to measure idle power before the first measure trial, if the plan does not say."""

_GENERAL_LIMITS = ("trial_timeout_s", "memory_bytes_max", "cooldown_s_max", "cooldown_to_c")
_TEXT_LIMITS = ("governor",)


class Job(EngineJob):
    """A cell of the sweep: model, runtime and settings. `python_path` lists bundles by SHA-256."""

    __slots__ = ("command", "dataset", "document", "files", "key", "model", "python_path", "variant")

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.document = fields.to_json()  # passed on whole, since an exec program may know fields unknown to the worker
        self.key = fields.text("job")
        self.variant = fields.text("variant")
        self.python_path = fields.sha256s("python_path")
        self.files = [JobFile(file) for file in fields.sections("files")]
        model, dataset = fields.nullable("model", fields.section), fields.nullable("dataset", fields.section)
        self.model = None if model is None else JobFile(model)
        self.dataset = None if dataset is None else JobFile(dataset)
        self.files += self.inputs.files()  # laid out like the files of a program, in the trial's folder
        self.command = fields.nullable("command", fields.texts) or []
        if any("\0" in word for word in self.command):
            raise fields.refuse("command", "expected words without a NUL character")
        if self.is_exec and not self.command:
            raise fields.refuse("command", "expected the words of a command, which an exec job needs")
        self._refuse_clashes(fields)

    @property
    def is_exec(self) -> bool:
        """Whether the job runs a program in place of an engine of the worker."""
        return self.engine == EXEC_ENGINE

    def _refuse_clashes(self, fields: Fields) -> None:
        """Raise BadField for two different files of the same name."""
        # All files of a job share the trial's folder.
        contents: dict[str, str] = {}
        for file in (*self.files, self.model, self.dataset):
            if file is not None and contents.setdefault(file.name, file.sha256) != file.sha256:
                raise BadField(f"{fields.path('files')}: two different files named {file.name!r}")


class PlannedTrial:
    """A process launch: `key` names the trial, `job` is the key of the trial's job, `index` its number in the job."""

    __slots__ = ("index", "job", "key", "kind")

    def __init__(self, fields: Fields) -> None:
        self.key = fields.text("trial")
        self.job = fields.text("job")
        self.kind = take_kind(fields)
        self.index = fields.whole("index")

    @property
    def is_measured(self) -> bool:
        """Whether the trial is timed."""
        return self.kind == TrialKind.MEASURE

    @property
    def is_judged(self) -> bool:
        """Whether limits of conditions hold for the trial: a profile tells times too, of the operators."""
        return self.kind in (TrialKind.MEASURE, TrialKind.PROFILE)

    @property
    def is_preflight(self) -> bool:
        """Whether the trial proves its job, so that the job's other trials may run."""
        return self.kind == TrialKind.PREFLIGHT


class Limits:
    """The limits of all trials. `conditions` maps the keys of condition limits to limits, without unset ones.

    With `cooldown_to_c` a trial waits, up to `cooldown_s_max`, until the device is as cool as that.

    Unknown conditions are not refused here: `sensing.conditions` refuses a limit that the worker cannot watch.
    """

    __slots__ = ("conditions", "cooldown_s_max", "cooldown_to_c", "memory_bytes_max", "trial_timeout_s")

    def __init__(self, fields: Fields) -> None:
        self.trial_timeout_s = fields.amount("trial_timeout_s")
        self.memory_bytes_max = fields.nullable("memory_bytes_max", fields.whole)
        self.cooldown_s_max = fields.amount("cooldown_s_max")
        self.cooldown_to_c = fields.optional("cooldown_to_c", fields.amount)
        found: dict[str, float | str | None] = {
            key: fields.optional(key, fields.text) if key in _TEXT_LIMITS else fields.optional(key, fields.amount)
            for key in fields.names()
            if key not in _GENERAL_LIMITS
        }
        self.conditions: dict[str, float | str] = {key: limit for key, limit in found.items() if limit is not None}


class Retries:
    """The number of retries of a trial: `failed` at once after a failure, `invalid` at the end of the plan."""

    __slots__ = ("failed", "invalid")

    def __init__(self, fields: Fields) -> None:
        self.failed = fields.whole("failed")
        self.invalid = fields.whole("invalid")


def _read_environment(fields: Fields) -> dict[str, str | None]:
    """Return variables by name. Raise BadField for what no environment can hold."""
    found = {name: fields.nullable(name, fields.text) for name in fields.names()}
    for name, value in found.items():
        if not name or "=" in name or "\0" in name + (value or ""):
            raise fields.refuse(name, "expected a name without '=', and no NUL character")
    return found


class StopRule:
    """When a cell has enough trials: an interval of the relative half-width, or so much time of the device.

    The rule is for the first `trials_max` trials of a cell. Trials beyond were added on purpose.
    """

    __slots__ = ("ci_halfwidth", "device_s_max", "trials_max")

    def __init__(self, fields: Fields) -> None:
        self.ci_halfwidth = fields.amount("ci_halfwidth")
        self.trials_max = fields.whole("trials_max")
        self.device_s_max = fields.nullable("device_s_max", fields.amount)


class Plan:
    """A checked plan: `jobs` by key, `trials` in the order of execution, `idle_s` seconds of idle power.

    `governor` is to be set for the run, or None. `stop` ends cells before their last trial, or is None.
    `power_sources` names the sources to choose from, None for all. `meter_period_s` is the time between two readings of
    a meter of the controller, None without one: the device then reads no source of its own.
    `extended` are the hashes of the plans that this plan adds trials to. A log that follows one of them goes on.
    `environment` has variables for trials, each with its value, or None for the value of the device's login.
    """

    __slots__ = (
        "blobs",
        "device",
        "environment",
        "extended",
        "governor",
        "idle_s",
        "jobs",
        "limits",
        "measure",
        "meter_period_s",
        "power_sources",
        "retries",
        "seed",
        "stop",
        "trials",
    )

    def __init__(self, fields: Fields) -> None:
        self.device = fields.text("device")
        self.seed = fields.integer("seed")
        self.measure = MeasureRule(fields.section("measure"))
        power = fields.section("power") if "power" in fields.names() else None
        self.idle_s = IDLE_S if power is None else power.amount("idle_s")
        self.power_sources = power.texts("sources") if power is not None and "sources" in power.names() else None
        has_meter = power is not None and "meter_period_s" in power.names()
        self.meter_period_s = power.amount("meter_period_s") if power is not None and has_meter else None
        self.limits = Limits(fields.section("limits"))
        self.retries = Retries(fields.section("retries"))
        stop = fields.optional("stop", fields.section)
        self.stop = None if stop is None else StopRule(stop)
        extended = fields.sections("extends") if "extends" in fields.names() else []
        control = fields.optional("control", fields.section)
        self.governor = None if control is None else control.optional("governor", control.text)
        self.extended = [plan.sha256("plan_sha256") for plan in extended]
        self.environment = _read_environment(fields.section("environment")) if "environment" in fields.names() else {}
        self.blobs = [BlobRef(blob) for blob in fields.sections("blobs")]
        self.jobs: dict[str, Job] = {}
        for section in fields.sections("jobs"):
            job = Job(section)
            if self.jobs.setdefault(job.key, job) is not job:
                raise section.refuse("job", "expected another key for each job")
        self.trials: list[PlannedTrial] = []
        seen: set[str] = set()
        for section in fields.sections("trials"):
            trial = PlannedTrial(section)
            if trial.job not in self.jobs:
                raise section.refuse("job", "expected the key of one of the plan's jobs")
            if trial.key in seen:
                raise section.refuse("trial", "expected another key for each trial")
            seen.add(trial.key)
            self.trials.append(trial)

    @classmethod
    def parse(cls, data: bytes) -> Plan:
        """Return the plan in a plan blob.

        Raise WorkerError: PROTOCOL_MISMATCH for another version, PLAN_INVALID with the path of the first wrong field.
        """
        try:
            content = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise WorkerError(ErrorKind.PLAN_INVALID, f"the plan is not JSON: {error}") from None
        # The version first: in a plan of another version every other field may have another meaning.
        if isinstance(content, dict) and content.get("protocol") != PROTOCOL_VERSION:
            raise WorkerError(
                ErrorKind.PROTOCOL_MISMATCH,
                f"the plan is of protocol {str(content.get('protocol'))[:80]!r}, this worker speaks {PROTOCOL_VERSION}",
                "plan again with the controller that ships this worker",
            )
        try:
            return cls(Fields(content, "plan"))
        except BadField as wrong:
            raise WorkerError(ErrorKind.PLAN_INVALID, str(wrong)) from None
