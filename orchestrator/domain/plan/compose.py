"""Compose a device's plan, purely. Equal inputs and seeds give equal plans, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.domain.blob import Blob
from orchestrator.domain.condition import reading_of
from orchestrator.domain.device import CONDITION_LIMITS, GOVERNOR_LIMIT, Device
from orchestrator.domain.errors import BlobError, DeviceUnfit
from orchestrator.domain.model import Model, ModelInput
from orchestrator.domain.plan.admit import admit, judged_by, offer_of
from orchestrator.domain.plan.document import (
    ShippedFile,
    ShippedInput,
    ShippedJob,
    ShippedLimits,
    ShippedPlan,
    estimate_s,
    write_document,
)
from orchestrator.domain.plan.kinds import mixed_kinds
from orchestrator.domain.plan.order import order_trials
from orchestrator.domain.plan.power_time import power_time
from orchestrator.domain.plan.values import DevicePlan, Job, PlanInputs, Trial, TrialKind, Untold
from orchestrator.domain.runtimes import engine_of, module_of


def plan_device(inputs: PlanInputs) -> DevicePlan:
    """Return the plan of a device. Equal inputs give equal bytes on every controller."""
    sweep, device = inputs.sweep, inputs.device.name
    environment = _environment(inputs)
    jobs, excluded = admit(inputs)
    trials = order_trials(jobs, sweep, device)
    shipment = _JobPacker(inputs)
    shipped = [shipment.job(job) for job in jobs]
    blobs = tuple(sorted(shipment.blobs.values(), key=lambda blob: blob.sha256))
    document = write_document(
        ShippedPlan(
            device=device,
            sweep=sweep.name,
            seed=sweep.order.seed,
            jobs=shipped,
            trials=trials,
            measure=sweep.measure,
            limits=_limits(inputs),
            retries=sweep.retries,
            blobs=blobs,
            environment=environment,
            stop=sweep.stop,
            governor=_governor(inputs),
            power=_power(inputs.device),
        )
    )
    return DevicePlan(
        device=device,
        jobs=jobs,
        trials=trials,
        excluded=excluded,
        blobs=blobs,
        document=document,
        sha256=hashlib.sha256(document).hexdigest(),
        estimate_s=_estimate_s(trials, inputs),
        untold=_untold(inputs),
        mixed=tuple(mixed_kinds(jobs, inputs)),
    )


def _environment(inputs: PlanInputs) -> Mapping[str, str | None]:
    """Return the variables for the trials. Raise DeviceUnfit for a GPU that the sweep chooses too."""
    asked, own = inputs.sweep.environment, inputs.device.gpu_variables
    if twice := sorted(asked.keys() & own.keys()):
        raise DeviceUnfit(
            f"the sweep sets {' and '.join(twice)}, and the inventory gives the device GPU {inputs.device.gpu}",
            "leave `gpu` of the inventory out, or the variable of the sweep",
            device=inputs.device.name,
        )
    return {**asked, **own}


def _power(device: Device) -> Mapping[str, Any] | None:
    """Return what a plan says of power, or None where the inventory leaves the choice to the device."""
    if device.meter is not None:
        return {"meter_period_s": device.meter.period_s}
    return None if device.power_sources is None else {"sources": list(device.power_sources)}


class _JobPacker:
    """Describe jobs for the document, and gather the blobs of the jobs."""

    def __init__(self, inputs: PlanInputs) -> None:
        self.blobs: dict[str, Blob] = {}
        self._inputs = inputs

    def job(self, job: Job) -> ShippedJob:
        """Return a job as read by the device."""
        model, accuracy = self._inputs.model_of(job.model), self._inputs.sweep.accuracy
        dataset = judged_by(self._inputs.sweep, model)
        program, bundle = job.runtime.program, offer_of(job.runtime, self._inputs).bundle
        return ShippedJob(
            key=job.key,
            label=job.label,
            variant=job.variant,
            runtime=job.runtime.label,
            engine=engine_of(job.runtime, job.settings).name,
            module=module_of(job.runtime, job.settings),
            settings=job.settings,
            bundles=(self._take(bundle).sha256,) if bundle else (),
            command=(program.command or None) if program else None,
            endpoint=job.runtime.endpoint,
            model=self._file(job.artifact.file_name, job.artifact.path, model, job.artifact.sha256),
            files=tuple(self._file(name, path, model) for name, path in program.files) if program else (),
            input=self._input(model.input, model),
            dataset=self._file(dataset.name, dataset.path, model, dataset.sha256) if dataset else None,
            accuracy_metric=accuracy.metric if accuracy and dataset else None,
            inputs={name: self._input(one, model) for name, one in model.inputs.items()},
            output=model.output,
            delegation=self._inputs.sweep.delegation,
            state=model.state,
        )

    def _file(self, name: str, path: str, model: Model, sha256: str | None = None) -> ShippedFile:
        blob = self._inputs.files.get(path)
        if blob is None:
            raise BlobError(f"{path}: nobody has read this file for the plan")
        # A file may have changed between the check of its model and the copy into the cache.
        if sha256 is not None and blob.sha256 != sha256:
            raise BlobError(
                f"{path}: its SHA-256 is {blob.sha256}, the model says {sha256}",
                hint=f"benchfleet models verify {model.directory}",
            )
        return ShippedFile(name, self._take(blob).sha256, blob.size)

    def _input(self, declared: ModelInput, model: Model) -> ShippedInput:
        # Floats here and in the limits: 60 and 60.0 of a YAML file must give the same bytes.
        low, high = (None if bound is None else float(bound) for bound in (declared.low, declared.high))
        file = None if declared.file is None else self._input_file(declared.file, model)
        return ShippedInput(low, high, declared.shape, declared.dtype, declared.from_output, file)

    def _input_file(self, path: str, model: Model) -> ShippedFile:
        # Named by content: the files of a job share a folder, and two inputs may have files of one name.
        file = self._file("", path, model)
        return replace(file, name=f"input-{file.sha256[:16]}")

    def _take(self, blob: Blob) -> Blob:
        return self.blobs.setdefault(blob.sha256, blob)


def _limits(inputs: PlanInputs) -> ShippedLimits:
    """Return the bounds of a device's trials. The device's timeout comes before the sweep's.

    The sweep's limits of conditions come before the device's. None there switches a condition off.
    """
    limits = inputs.device.limits
    conditions = _conditions(inputs)
    cooling = inputs.sweep.cooling
    timeout_s = limits.trial_timeout_s if limits.trial_timeout_s is not None else inputs.sweep.trial_timeout_s
    return ShippedLimits(
        trial_timeout_s=float(timeout_s),
        memory_bytes_max=limits.memory_bytes_max,
        cooldown_s_max=float(limits.cooldown_s_max if cooling.s_max is None else cooling.s_max),
        conditions={key: limit if isinstance(limit, str) else float(limit) for key, limit in conditions.items()},
        cooldown_to_c=None if cooling.to_c is None else float(cooling.to_c),
    )


def _conditions(inputs: PlanInputs) -> Mapping[str, float | str]:
    """Return the limits of conditions. The sweep's come before the device's, and None there is no limit."""
    found = {
        key: inputs.sweep.limits.get(key, getattr(inputs.device.limits, key))
        for key in (*CONDITION_LIMITS, GOVERNOR_LIMIT)
    }
    return {key: limit for key, limit in found.items() if limit is not None}


def _governor(inputs: PlanInputs) -> str | None:
    """Return the governor that the runner sets, where the sweep asks for one and the inventory allows that."""
    wanted = _conditions(inputs).get(GOVERNOR_LIMIT)
    return wanted if isinstance(wanted, str) and GOVERNOR_LIMIT in inputs.device.allow else None


def _untold(inputs: PlanInputs) -> tuple[Untold, ...]:
    """Return the demanded conditions that the device cannot tell. They are never taken for met."""
    reasons = inputs.facts.values.get("conditions_untold")
    if not isinstance(reasons, Mapping):  # a worker of an older release did not say
        return ()
    wanted = {limit: reading_of(limit) for limit in _conditions(inputs)}
    if inputs.sweep.cooling.to_c is not None:
        wanted["cooldown_to_c"] = "temperature_c"
    if inputs.sweep.unthrottled:
        wanted["throttled"] = "throttled"
    return tuple(Untold(limit, str(reasons[reading])) for limit, reading in wanted.items() if reading in reasons)


def _estimate_s(trials: Sequence[Trial], inputs: PlanInputs) -> float:
    policy = inputs.sweep.measure
    power = power_time(inputs.device, inputs.facts, policy.seconds_max, _limits(inputs).trial_timeout_s)
    measured = sum(trial.kind is TrialKind.MEASURE for trial in trials)
    # The minima, which fast models take. A slow model takes longer, and only the device learns how long.
    trial_s = policy.warmup_seconds_min + max(policy.seconds_min, power.window_s) + power.each_s
    return estimate_s(len(trials) - measured, measured, trial_s, power.first_s if measured else 0.0)
