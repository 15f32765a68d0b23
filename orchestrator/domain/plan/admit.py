"""Admit cells of a sweep as jobs of a device, and name the files of a sweep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.device import CPUS_SETTING, Device
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.expansion import GridCell, expand, hardware_against, is_in_grid, rule_against, swept_variants
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Dataset, Model, Variant
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.plan.accelerators import accelerator_against, compilation_against
from orchestrator.domain.plan.document import canonical
from orchestrator.domain.plan.values import Excluded, Job, PlanInputs, RuntimeOffer
from orchestrator.domain.providers import provider_against
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import CALL, CALLS, UNCALLED, artifact_for, engine_of, formats_of
from orchestrator.domain.sweep import Sweep


def files_needed(sweep: Sweep, *models: Model) -> Mapping[str, BlobKind]:
    """Return the purpose of every file to be sent by a sweep of these models, by absolute path."""
    paths: dict[str, BlobKind] = {}
    calls = [{} if call is None else {CALL: call} for call in sweep.matrix.get(CALL, (None,))]
    for _, variant in measured_variants(sweep, models):
        chosen = (artifact_for(variant, runtime, call) for runtime in sweep.runtimes for call in calls)
        paths |= {artifact.path: BlobKind.MODEL for artifact in chosen if artifact is not None}
    for dataset in (judged_by(sweep, model) for model in models):
        if dataset is not None:
            paths[dataset.path] = BlobKind.DATASET
    for model in models:
        paths |= {one.file: BlobKind.INPUT for one in model.all_inputs if one.file is not None}
    for runtime in sweep.runtimes:
        for _, path in runtime.program.files if runtime.program else ():
            # A program may bring a file that is an artifact too: the first purpose stays.
            paths.setdefault(path, BlobKind.FILE)
    return paths


def measured_variants(sweep: Sweep, models: Sequence[Model]) -> Iterator[tuple[Model, Variant]]:
    """Yield the variants that a sweep of these models measures, each with its model."""
    by_name = {model.name: model for model in models}
    for name, variant in swept_variants(sweep):
        model = models[0] if name is None else by_name[name]
        yield model, variant_of(model, variant)


def judged_by(sweep: Sweep, model: Model) -> Dataset | None:
    """Return the data set that a model's outputs are judged by, or None."""
    name = sweep.accuracy and sweep.accuracy.dataset_of(model.name)
    return dataset_of(model, name) if name else None


def admit(inputs: PlanInputs) -> tuple[tuple[Job, ...], tuple[Excluded, ...]]:
    """Return the jobs of a device in the order of the sweep's grid, and the excluded cells with reasons."""
    jobs: list[Job] = []
    excluded: list[Excluded] = []
    for cell in (one for one in expand(inputs.sweep) if is_in_grid(inputs.sweep, inputs.device.name, one)):
        model = inputs.model_of(cell.model)
        variant = variant_of(model, cell.variant)
        artifact = artifact_for(variant, cell.runtime, cell.settings)
        if artifact is None:
            by_rule = rule_against(inputs.sweep, inputs.device.name, cell)
            excluded.append(Excluded(cell.label, by_rule or _no_artifact(variant, cell)))
        elif reason := _objection(cell, artifact, inputs):
            excluded.append(Excluded(cell.label, reason))
        else:
            job = _job(cell, artifact, model, inputs.device.name)
            if (known := inputs.left_out.get(job.key)) is None:
                jobs.append(job)
            else:
                excluded.append(Excluded(cell.label, known))
    return tuple(jobs), tuple(excluded)


def needed_runtimes(inputs: PlanInputs) -> frozenset[str]:
    """Return the labels of runtimes with a cell that could run, whatever the runtimes are made of.

    The others need not be resolved: a bundle of gigabytes for a device without a GPU would be fetched for nothing.
    """
    jobs, _ = admit(replace(inputs, offers=[RuntimeOffer(runtime) for runtime in inputs.sweep.runtimes]))
    return frozenset(job.runtime.label for job in jobs)


def offer_of(runtime: RuntimeSpec, inputs: PlanInputs) -> RuntimeOffer:
    """Return the offer for a runtime. Raise BlobError for a bundle without an offer."""
    for offer in inputs.offers:
        if offer.runtime.label == runtime.label:
            return offer
    if runtime.bundled is not None:
        raise BlobError(f"{inputs.device.name}: nobody resolved {runtime.label}")
    return RuntimeOffer(runtime)


def variant_of(model: Model, name: str) -> Variant:
    """Return a model's variant by name. Raise ConfigError, with the nearest name, for an unknown name."""
    try:
        return model.variants[name]
    except KeyError:
        raise ConfigError(
            f"model {model.name!r} has no variant {name!r}", hint=did_you_mean(name, model.variants)
        ) from None


def dataset_of(model: Model, name: str) -> Dataset:
    """Return a model's data set by name. Raise ConfigError, with the nearest name, for an unknown name."""
    try:
        return model.datasets[name]
    except KeyError:
        raise ConfigError(
            f"model {model.name!r} has no dataset {name!r}", hint=did_you_mean(name, model.datasets)
        ) from None


def _no_artifact(variant: Variant, cell: GridCell) -> str:
    loads = " or ".join(formats_of(cell.runtime, cell.settings) or ())
    engine = engine_of(cell.runtime, cell.settings).name
    has = f"{variant.name} has {' and '.join(variant.formats)} alone"
    if CALL not in cell.settings:
        return f"{engine} loads {loads}, and {has}"
    call = f"{CALL}: {cell.settings[CALL]}"
    return f"{call} wants {loads}, and {has}" if loads else f"{engine} has no {call}"


def _objection(cell: GridCell, artifact: Artifact, inputs: PlanInputs) -> str | None:
    # The sweep's own rule first: a cell left out on purpose needs no other reason.
    engine = engine_of(cell.runtime, cell.settings).name
    return (
        rule_against(inputs.sweep, inputs.device.name, cell)
        or _foreign_setting(cell, artifact)
        or provider_against(cell.runtime, engine, cell.settings)
        or _not_compiled(cell, artifact, inputs)
        or accelerator_against(cell.runtime, engine, cell.settings, inputs.facts)
        or offer_of(cell.runtime, inputs).unavailable
        or _missing_on_device(cell.runtime, inputs.facts)
        or _not_runnable_there(cell.runtime, inputs.facts)
        or _forbidden(cell, inputs.device)
        or hardware_against(cell.settings, inputs.facts.processors)
        or _contradicted(cell.runtime, artifact, inputs, inputs.model_of(cell.model))
    )


def _forbidden(cell: GridCell, device: Device) -> str | None:
    """Return the reason against pinning trials where the inventory does not allow that."""
    if CPUS_SETTING not in cell.settings or CPUS_SETTING in device.allow:
        return None
    return f"the inventory does not allow to pin trials there; set allow: [{CPUS_SETTING}] for {device.name}"


def _foreign_setting(cell: GridCell, artifact: Artifact) -> str | None:
    """Return the reason against a setting of the runtime that means nothing to the engine of the cell."""
    engine = engine_of(cell.runtime, cell.settings)
    if CALL in (engine.settings or ()) and CALL not in cell.settings and artifact.format not in UNCALLED:
        usual = next(call for call, forms in CALLS.items() if forms[0] is artifact.format)
        return f"{cell.runtime.label} must be told how to call the model: add {CALL}: [{usual}] to the matrix"
    foreign = [key for key in cell.settings if engine.settings is not None and key not in engine.settings]
    if not foreign:
        return None
    whose = f"{CALL}: {cell.settings[CALL]}" if CALL in cell.settings else cell.runtime.label
    return f"{whose} has no setting {foreign[0]!r}"


def _not_compiled(cell: GridCell, artifact: Artifact, inputs: PlanInputs) -> str | None:
    # A program's or a server's own settings may mean anything.
    if cell.runtime.source not in (RuntimeSource.BUNDLE, RuntimeSource.SYSTEM):
        return None
    return compilation_against(artifact, cell.settings, inputs.for_edgetpu, inputs.sweep.delegation)


def _contradicted(runtime: RuntimeSpec, artifact: Artifact, inputs: PlanInputs, model: Model) -> str | None:
    # The worker's own runtimes find that out on the device, where the cell fails with the same words. What files give
    # is known by now, and device time would be wasted on them.
    is_known = runtime.source is RuntimeSource.EXEC or model.takes_files
    return inputs.contradictions.get(artifact.path) if is_known else None


def _missing_on_device(runtime: RuntimeSpec, facts: Facts) -> str | None:
    """Return the reason why a device lacks a system runtime; None for an installed or unknown runtime."""
    known = facts.values.get("system_runtimes")
    if runtime.source is not RuntimeSource.SYSTEM or not isinstance(known, Mapping):
        return None
    # An older worker did not look for every engine: absent means unknown, an empty list means none.
    if known.get(runtime.name, True):
        return None
    return f"the device has no {runtime.name} runtime of its own"


def _not_runnable_there(runtime: RuntimeSpec, facts: Facts) -> str | None:
    """Return the reason why a device can run nothing that was sent there, or None for a runtime of the device's own."""
    health = facts.values.get("health")
    if not isinstance(health, Mapping) or health.get("noexec") is not True:
        return None
    program = runtime.program
    is_sent = program is not None and any(name == program.command[0] for name, _ in program.files)
    if runtime.bundled is None and not is_sent:
        return None
    what = "no program that is sent" if is_sent else "no library of a bundle"
    return f"{facts.values.get('state_dir')} is mounted noexec, and {what} runs there: set state_dir: in the inventory"


def _job(cell: GridCell, artifact: Artifact, model: Model, device: str) -> Job:
    # Histories hang on this key: no path, hash or format may enter, or every job would become another job.
    identity = [device, model.name, cell.variant, cell.runtime.label, dict(cell.settings)]
    key = hashlib.sha256(canonical(identity)).hexdigest()[:12]
    return Job(key, cell.variant, cell.runtime, cell.settings, cell.label, artifact, model.name)
