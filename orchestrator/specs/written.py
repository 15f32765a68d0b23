"""Write sweeps and models as files that `specs` reads back: a night writes down what the night measures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.domain.model import Artifact, Model, ModelInput, StatePolicy, Variant
from orchestrator.domain.plan.endpoint import write_template
from orchestrator.domain.runtime import Endpoint, ExecProgram, RuntimeSpec
from orchestrator.domain.sweep import Delegation, MeasurePolicy, Sweep


def sweep_text(sweep: Sweep, folder: Path) -> str:
    """Return the text of a sweep file in `folder`. The text is JSON, which is YAML too.

    The model's folder and the files of programs are written relative to the folder.
    """
    document: dict[str, Any] = {
        "sweep": sweep.name,
        **_models(sweep, folder),
        "variants": list(sweep.variants),
        "runtimes": [_runtime(runtime, folder) for runtime in sweep.runtimes],
        "matrix": {key: list(values) for key, values in sweep.matrix.items()},
        "exclude": [dict(rule) for rule in sweep.exclude],
        "only": [dict(rule) for rule in sweep.only],
        "allow_failures": [dict(rule) for rule in sweep.allow_failures],
        # Floats throughout: 60 and 60.0 of a sweep file must give the same text, which names files by its hash.
        "measure": _measured(sweep.measure),
        "order": {"interleave": sweep.order.interleave, "seed": sweep.order.seed},
        "retries": {"failed": sweep.retries.failed, "invalid": sweep.retries.invalid},
        "timeouts": {"trial_s": float(sweep.trial_timeout_s)},
        "limits": {
            name: limit if limit is None or isinstance(limit, str) else float(limit)
            for name, limit in sweep.limits.items()
        },
    }
    if sweep.accuracy is not None:
        dataset = sweep.accuracy.dataset if isinstance(sweep.accuracy.dataset, str) else dict(sweep.accuracy.dataset)
        document["accuracy"] = {"dataset": dataset, "metric": sweep.accuracy.metric}
    if sweep.stop is None:
        document["trials"] = sweep.trials
    else:
        device_s_max = sweep.stop.device_s_max
        document["stop"] = {
            "ci_halfwidth": float(sweep.stop.ci_halfwidth),
            "trials_max": sweep.stop.trials_max,
            "device_s_max": None if device_s_max is None else float(device_s_max),
        }
    demanded = _demanded(sweep)
    if demanded:
        document["conditions"] = demanded
    if sweep.delegation != Delegation():
        document["delegates"] = {
            "nodes_min": float(sweep.delegation.nodes_min),
            "allow_fallback": sweep.delegation.allow_fallback,
        }
    if sweep.agreement is not None:
        stated = sweep.agreement
        document["agreement"] = {"absolute": float(stated.absolute), "relative": float(stated.relative)}
    if sweep.profile is not None:
        document["profile"] = sweep.profile
    if sweep.need is not None:
        document["devices"] = {
            "select": sweep.need.select,
            "count": sweep.need.count,
            "spread": False if sweep.need.spread is None else sweep.need.spread,
        }
    if sweep.preemptible:
        document["preemptible"] = True
    if sweep.environment:
        document["environment"] = dict(sweep.environment)
    return _text(document)


def _measured(measure: MeasurePolicy) -> Mapping[str, Any]:
    asked = {
        "scenario": measure.scenario,
        "streams": measure.streams,
        "rate_per_s": measure.rate_per_s,
        "p99_ms_max": measure.p99_ms_max,
    }
    return {
        "warmup": {"runs_min": measure.warmup_runs_min, "seconds_min": float(measure.warmup_seconds_min)},
        "runs_min": measure.runs_min,
        "seconds_min": float(measure.seconds_min),
        "seconds_max": float(measure.seconds_max),
        "runs_max": measure.runs_max,
        **{key: value for key, value in asked.items() if value is not None},
    }


def _models(sweep: Sweep, folder: Path) -> Mapping[str, Any]:
    if not sweep.models:
        return {"model": os.path.relpath(sweep.model, folder)}
    return {"models": [os.path.relpath(one.directory, folder) for one in sweep.models]}


def model_text(model: Model) -> str:
    """Return the text of the model.yaml in the model's folder. A recipe is left out: nobody rebuilds a night."""
    folder = Path(model.directory)
    document: dict[str, Any] = {
        "model": model.name,
        "description": model.description,
        "task": model.task,
        "input": _input(model.input, folder),
        "datasets": {one.name: {"sha256": one.sha256, "samples": one.samples} for one in model.datasets.values()},
        "variants": {name: _variant(variant, folder) for name, variant in model.variants.items()},
    }
    if model.inputs:
        document["inputs"] = {name: _input(one, folder) for name, one in model.inputs.items()}
    if model.output is not None:
        name = {} if model.output.name is None else {"name": model.output.name}
        document["output"] = {"shape": list(model.output.shape), **name}
    if model.state is not StatePolicy.KEEP:
        document["state"] = model.state.value
    if model.license is not None:
        document["license"] = model.license
    return _text(document)


def _demanded(sweep: Sweep) -> Mapping[str, Any]:
    """Return what `limits` and `retries` of a sweep cannot say."""
    cooling = {"cooldown_to_c": sweep.cooling.to_c, "cooldown_s_max": sweep.cooling.s_max}
    demanded: dict[str, Any] = {key: float(value) for key, value in cooling.items() if value is not None}
    return demanded | ({"throttled": False} if sweep.unthrottled else {})


def _input(declared: ModelInput, folder: Path) -> Mapping[str, Any]:
    document: dict[str, Any] = {"shape": list(declared.shape), "dtype": declared.dtype}
    if declared.low is not None and declared.high is not None:
        document |= {"low": float(declared.low), "high": float(declared.high)}
    if declared.from_output is not None:
        document["from_output"] = declared.from_output
    if declared.file is not None:
        document["file"] = os.path.relpath(declared.file, folder)
    return document


def _runtime(runtime: RuntimeSpec, folder: Path) -> str | Mapping[str, Any]:
    if runtime.program is None:
        return runtime.label
    if runtime.endpoint is not None:
        return {"endpoint": _endpoint(runtime, runtime.endpoint, runtime.program, folder)}
    program: dict[str, Any] = {
        "name": runtime.name,
        "command": list(runtime.program.command),
        "files": [os.path.relpath(path, folder) for _, path in runtime.program.files],
    }
    if runtime.program.format is not None:
        program["format"] = runtime.program.format.value
    if runtime.program.packages:
        program["packages"] = list(runtime.program.packages)
    return {"exec": program}


def _endpoint(runtime: RuntimeSpec, endpoint: Endpoint, program: ExecProgram, folder: Path) -> Mapping[str, Any]:
    served = {
        "command": list(program.command),
        "files": [os.path.relpath(path, folder) for _, path in program.files],
        "ready_s_max": endpoint.ready_s_max,
    }
    document = {
        "name": runtime.name,
        "protocol": endpoint.protocol,
        "model": endpoint.model,
        "version": endpoint.version,
        "url": endpoint.url,
        "signature": endpoint.signature,
        "template": write_template(endpoint.template) if endpoint.template else None,
        "serve": served if program.command else None,
        "packages": list(program.packages) or None,
        "format": program.format.value if program.format else None,
    }
    return {key: value for key, value in document.items() if value is not None}


def _variant(variant: Variant, folder: Path) -> Mapping[str, Any]:
    document: dict[str, Any] = {
        "precision": variant.precision,
        "made": variant.made,
        "artifacts": {artifact.format.value: _artifact(artifact, folder) for artifact in variant.artifacts},
    }
    if variant.parent is not None:
        document["parent"] = variant.parent
    if variant.accuracy:
        document["accuracy"] = {name: float(value) for name, value in variant.accuracy.items()}
    return document


def _artifact(artifact: Artifact, folder: Path) -> Mapping[str, str]:
    document = {"file": os.path.relpath(artifact.path, folder), "sha256": artifact.sha256}
    return document if artifact.made is None else {**document, "made": artifact.made}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
