"""Read the specification of a trial: a JSON document on the standard input of the trial's process.

`EngineJob` and `MeasureRule` are sections that the plan has in the same form.
"""

from __future__ import annotations

import json

from device_worker.protocol.declarations import DeclaredEndpoint, DeclaredInputs, DeclaredOutput, Delegation
from device_worker.protocol.fields import Fields
from device_worker.protocol.vocabulary import TrialKind

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Union

    Setting = Union[int, float, str, bool]

_SCENARIOS = ("single-stream", "multi-stream", "offline", "server")
_STATES = ("keep", "reset")
_KINDS = (TrialKind.PREFLIGHT, TrialKind.MEASURE, TrialKind.PROFILE)


class EngineJob:
    """The part of a job for the engine, with what the model's maker declares of inputs and of the judged output.

    `batch` is the setting of that name: how many items an invocation takes. None leaves the model as it is.
    `endpoint` is the server of a served model, or None. `state` is `keep` or `reset`, None where nobody says.
    """

    __slots__ = (
        "accuracy_metric",
        "batch",
        "delegation",
        "endpoint",
        "engine",
        "inputs",
        "module",
        "output",
        "settings",
        "state",
    )

    def __init__(self, fields: Fields) -> None:
        self.engine = fields.text("engine")
        self.module = fields.optional("module", fields.text)
        # Any names: an exec program has settings of its own, and each engine refuses those that it does not know.
        self.settings: dict[str, Setting] = fields.scalars("settings")
        self.batch = self._take_batch(fields)
        self.inputs = DeclaredInputs(fields)
        output = fields.optional("output", fields.section)
        self.output = None if output is None else DeclaredOutput(output)
        self.delegation = Delegation(fields)
        endpoint = fields.optional("endpoint", fields.section)
        self.endpoint = None if endpoint is None else DeclaredEndpoint(endpoint)
        self.accuracy_metric = fields.optional("accuracy_metric", fields.text)
        known = " or ".join(_STATES)
        self.state: str | None = fields.optional(
            "state", lambda key: fields.take(key, lambda value: value in _STATES, known)
        )

    def _take_batch(self, fields: Fields) -> int | None:
        if self.engine == "exec" or "batch" not in self.settings:  # of a program's own settings nothing is known
            return None
        return fields.section("settings").whole("batch", least=1)


class TrialJob(EngineJob):
    """A job with ready files: paths in the device's file system, or None for no model or no dataset.

    The trial may write into the folder `files_dir`. `command` starts the server of a served model.
    """

    __slots__ = ("command", "dataset_path", "files_dir", "model_path", "python_path")

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.python_path = fields.texts("python_path")
        self.model_path = fields.nullable("model_path", fields.text)
        self.dataset_path = fields.nullable("dataset_path", fields.text)
        self.files_dir = fields.text("files_dir")
        self.command = fields.optional("command", fields.texts) or []


class MeasureRule:
    """How long to warm up and to measure. A run is a call of the model, or a batch of very short calls.

    `scenario` is None for calls one after the other. Else a run is a query: of `streams` calls (multi-stream), or one
    that arrives at `rate_per_s` on the average (server). With `p99_ns_max` the rate is searched: the highest one whose
    99th percentile stays under that.
    """

    __slots__ = (
        "document",
        "p99_ns_max",
        "rate_per_s",
        "runs_max",
        "runs_min",
        "scenario",
        "seconds_max",
        "seconds_min",
        "streams",
        "warmup_runs_min",
        "warmup_seconds_min",
    )

    def __init__(self, fields: Fields) -> None:
        self.document = fields.to_json()  # passed on whole, since an exec program may know fields unknown to the worker
        self.warmup_runs_min = fields.whole("warmup_runs_min")
        self.warmup_seconds_min = fields.amount("warmup_seconds_min")
        self.runs_min = fields.whole("runs_min")
        self.seconds_min = fields.amount("seconds_min")
        self.seconds_max = fields.amount("seconds_max")
        self.runs_max = fields.whole("runs_max")
        known = " or ".join(_SCENARIOS)
        self.scenario: str | None = fields.optional(
            "scenario", lambda key: fields.take(key, lambda value: value in _SCENARIOS, known)
        )
        self.streams: int = fields.optional("streams", lambda key: fields.whole(key, 1)) or 1
        self.rate_per_s: float = fields.optional("rate_per_s", fields.amount) or 1.0
        self.p99_ns_max: float | None = fields.optional("p99_ns_max", fields.amount)

    def lengthened(self, seconds_min: float) -> MeasureRule:
        """Return the rule with `seconds_min` of measurement instead."""
        return MeasureRule(Fields(dict(self.document, seconds_min=seconds_min), "measure"))


class Specification:
    """The work of a trial process. `seed` is the seed of random inputs."""

    __slots__ = ("is_preflight", "is_profile", "job", "measure", "seed")

    def __init__(self, fields: Fields) -> None:
        self.job = TrialJob(fields.section("job"))
        kind = take_kind(fields)
        self.is_preflight = kind == TrialKind.PREFLIGHT
        self.is_profile = kind == TrialKind.PROFILE
        self.seed = fields.integer("seed")
        self.measure = MeasureRule(fields.section("measure"))

    @classmethod
    def parse(cls, text: str) -> Specification:
        """Return the specification in a JSON document. Raise ValueError, or BadField with the path of a wrong field."""
        return cls(Fields(json.loads(text), "specification"))


def take_kind(fields: Fields) -> str:
    """Return the kind of a trial, one of `TrialKind`."""
    kind: str = fields.take("kind", lambda kind: kind in _KINDS, " or ".join(_KINDS))
    return kind
