"""Read a device plan, and refuse one that cannot be executed before anything of it is."""

from __future__ import annotations

import json

from device_worker.errors import WorkerError
from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.vocabulary import ErrorKind, TrialKind
from device_worker.state_dir import is_sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MEASURE_NUMBERS = ("warmup_runs_min", "warmup_seconds_min", "runs_min", "seconds_min", "seconds_max", "runs_max")
_POWER = {"idle_s": 5.0}
_COUNTS = ("warmup_runs_min", "runs_min", "runs_max")


class Plan:
    """A checked plan: `jobs` by their identity, `trials` in the order in which they run."""

    __slots__ = ("blobs", "device", "jobs", "limits", "measure", "power", "retries", "seed", "trials")

    def __init__(self, content: dict[str, Any]) -> None:
        self.device: str = content["device"]
        self.seed: int = content["seed"]
        self.jobs: dict[str, dict[str, Any]] = {job["job"]: job for job in content["jobs"]}
        self.trials: list[dict[str, Any]] = content["trials"]
        self.measure: dict[str, Any] = content["measure"]
        self.power: dict[str, Any] = content.get("power", _POWER)
        self.limits: dict[str, Any] = content["limits"]
        self.retries: dict[str, int] = content["retries"]
        self.blobs: list[dict[str, Any]] = content["blobs"]

    @classmethod
    def parse(cls, data: bytes) -> Plan:
        """Return the plan of a plan blob, or raise WorkerError saying what in it is wrong."""
        try:
            content = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise WorkerError(ErrorKind.PLAN_INVALID, f"the plan is not JSON: {error}") from None
        if isinstance(content, dict) and content.get("protocol") != PROTOCOL_VERSION:
            raise WorkerError(
                ErrorKind.PROTOCOL_MISMATCH,
                f"the plan is of protocol {content.get('protocol')!r}, this worker speaks {PROTOCOL_VERSION}",
                "plan again with the controller that ships this worker",
            )
        try:
            _check_plan(content)
        except _Wrong as wrong:
            raise WorkerError(ErrorKind.PLAN_INVALID, f"the plan's {wrong}") from None
        return cls(content)


class _Wrong(Exception):
    """A place in the plan, and what is wrong there."""


def _take(parent: Any, key: str, kind: type | tuple[type, ...], place: str = "") -> Any:
    """Return `parent[key]`, which must be of a kind (a bool is not a number here)."""
    where = f"{place}.{key}" if place else key
    if not isinstance(parent, dict):
        raise _Wrong(f"{place or 'content'} is not an object")
    if key not in parent:
        raise _Wrong(f"{where} is missing")
    value = parent[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _Wrong(f"{where} is {value!r}")
    return value


def _take_number(parent: Any, key: str, place: str, optional: bool = False) -> None:
    kinds = (int, float, type(None)) if optional else (int, float)
    value = _take(parent, key, kinds, place)
    if value is not None and not 0 <= value < float("inf"):
        raise _Wrong(f"{place}.{key} is {value!r}")


def _check_plan(plan: Any) -> None:
    for key, kind in (("device", str), ("seed", int), ("jobs", list), ("trials", list), ("blobs", list)):
        _take(plan, key, kind)
    measure = _take(plan, "measure", dict)
    for key in _MEASURE_NUMBERS:
        _take(measure, key, int if key in _COUNTS else (int, float), "measure")
        _take_number(measure, key, "measure")
    if "power" in plan:
        _take_number(_take(plan, "power", dict), "idle_s", "power")
    limits = _take(plan, "limits", dict)
    for key in ("trial_timeout_s", "cooldown_s_max"):
        _take_number(limits, key, "limits")
    for key in ("temperature_c_max", "memory_bytes_max"):
        _take_number(limits, key, "limits", optional=True)
    retries = _take(plan, "retries", dict)
    for key in ("failed", "invalid"):
        _take(retries, key, int, "retries")
    for index, blob in enumerate(plan["blobs"]):
        _check_blob(blob, f"blobs[{index}]")
    for index, job in enumerate(plan["jobs"]):
        _check_job(job, f"jobs[{index}]")
    _check_trials(plan["trials"], [job["job"] for job in plan["jobs"]])


def _check_blob(blob: Any, place: str) -> None:
    if not is_sha256(_take(blob, "sha256", str, place)):
        raise _Wrong(f"{place}.sha256 is {blob['sha256']!r}")
    _take_number(blob, "size", place)


def _check_file(file: Any, place: str) -> None:
    _check_blob(file, place)
    name = _take(file, "name", str, place)
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise _Wrong(f"{place}.name is {name!r}, not a plain file name")


def _check_job(job: Any, place: str) -> None:
    for key in ("job", "engine", "variant"):
        _take(job, key, str, place)
    _take(job, "settings", dict, place)
    for index, bundle in enumerate(_take(job, "python_path", list, place)):
        if not is_sha256(bundle):
            raise _Wrong(f"{place}.python_path[{index}] is {bundle!r}")
    for index, file in enumerate(_take(job, "files", list, place)):
        _check_file(file, f"{place}.files[{index}]")
    for key in ("model", "dataset"):
        if _take(job, key, (dict, type(None)), place) is not None:
            _check_file(job[key], f"{place}.{key}")
    _check_names(job, place)
    command = _take(job, "command", (list, type(None)), place)
    if command is not None and not all(isinstance(word, str) and "\0" not in word for word in command):
        raise _Wrong(f"{place}.command is {command!r}")
    if job["engine"] == "exec" and not command:
        raise _Wrong(f"{place}.command is missing")


def _check_names(job: dict[str, Any], place: str) -> None:
    """Refuse two different files of one name: they share the trial's folder."""
    found: dict[str, str] = {}
    for file in [*job["files"], job["model"], job["dataset"]]:
        if file is not None and found.setdefault(file["name"], file["sha256"]) != file["sha256"]:
            raise _Wrong(f"{place} has two different files named {file['name']!r}")


def _check_trials(trials: list[Any], jobs: list[str]) -> None:
    if len(set(jobs)) != len(jobs):
        raise _Wrong("jobs are not all different")
    seen = set()
    for index, trial in enumerate(trials):
        place = f"trials[{index}]"
        name = _take(trial, "trial", str, place)
        if name in seen:
            raise _Wrong(f"{place}.trial {name!r} is there twice")
        seen.add(name)
        if _take(trial, "job", str, place) not in jobs:
            raise _Wrong(f"{place}.job {trial['job']!r} is not among its jobs")
        if _take(trial, "kind", str, place) not in (TrialKind.PREFLIGHT, TrialKind.MEASURE):
            raise _Wrong(f"{place}.kind is {trial['kind']!r}")
        _take(trial, "index", int, place)
