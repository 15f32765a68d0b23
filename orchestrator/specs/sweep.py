"""Load a sweep file with its model, and find every file of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format, Model
from orchestrator.domain.need import SITE, Need
from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import Endpoint, ExecProgram, HttpTemplate, RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import artifact_for
from orchestrator.domain.sweep import Accuracy, Delegation, MeasurePolicy, Order, Setting, Stop, Sweep, SweptModel
from orchestrator.domain.tolerance import Tolerance
from orchestrator.specs.demands import cooling_of, limits_of, retries_of
from orchestrator.specs.document import Document, Place, parse_document, read_document
from orchestrator.specs.model import MODEL_FILE, load_model, suggest_model
from orchestrator.specs.overrides import overridden
from orchestrator.specs.paths import expanded, is_file, resolved
from orchestrator.specs.reach import OWN_FOLDER, Reach
from orchestrator.specs.runtime import parse_runtime
from orchestrator.specs.runtime_schema import (
    EndpointEntry,
    EndpointSection,
    ExecEntry,
    ExecSection,
    TemplateSection,
)
from orchestrator.specs.schema import Complaint, check_section, refuse
from orchestrator.specs.sweep_checks import contradictions, model_or_models, unknown_variants
from orchestrator.specs.sweep_schema import DevicesSection, MeasureSection, SweepSection


@dataclass(frozen=True, slots=True)
class SweepFile:
    """Hold a sweep with its model, and the text of the file. `overrides` are laid over the file, and in the text.

    `further` are the models of a sweep of several behind the first.
    """

    sweep: Sweep
    model: Model
    text: str
    overrides: tuple[str, ...] = ()
    further: tuple[Model, ...] = ()

    @property
    def models(self) -> tuple[Model, ...]:
        """Return every model."""
        return (self.model, *self.further)

    def by_model(self) -> tuple[SweepFile, ...]:
        """Return a sweep of several models as one sweep for each model, and a sweep of one as it is."""
        if not self.sweep.models:
            return (self,)
        parts = ((model, self.sweep.of_model(model.name)) for model in self.models)
        return tuple(SweepFile(part, model, self.text, self.overrides) for model, part in parts if part is not None)


def load_sweep(path: Path, verify: bool = True, reach: Reach = OWN_FOLDER, overrides: Sequence[str] = ()) -> SweepFile:
    """Read a sweep file. Raise a single ConfigError with all complaints. `verify` hashes the model's files.

    `reach` names the folders, besides the sweep file's own folder, whose files may be sent to devices. `overrides` are
    settings `KEY=VALUE` laid over the file.
    """
    document = overridden(read_document(path), overrides)
    file = _resolve(document, path, verify, _Ground(reach, path.parent))
    return replace(file, overrides=tuple(overrides))


def parse_sweep(
    text: str, path: Path, verify: bool = True, reach: Reach = OWN_FOLDER, overrides: Sequence[str] = ()
) -> SweepFile:
    """Read a sweep from its text, as if the text stood at `path`. A recorded run knows both.

    `overrides` are in the text already.
    """
    # Whoever may write into the database may record any path there. The folder counts only with the file in it.
    own = path.parent if _is_written_at(path, text, overrides) else None
    return _resolve(parse_document(text, str(path)), path, verify, _Ground(reach, own))


def declared_sweep(text: str, path: Path, model_directory: str) -> Sweep:
    """Return the sweep of a recorded run from the text alone, as if the text stood at `path`. No file is looked for.

    A sweep of all variants names none. A sweep of several models is that of the model in `model_directory`.
    """
    document = parse_document(text, str(path))
    section = check_section(document, SweepSection)
    return _sweep(section, _runtimes(section, document, path.parent), model_directory, path)


def allowed_failures(text: str, source: str) -> tuple[Mapping[str, Setting], ...]:
    """Return the rules of `allow_failures` of a sweep, from the text of the file. Raise ConfigError for no sweep."""
    # Most sweeps have none, and reading a run must not cost the parsing of a sweep.
    if "allow_failures" not in text:
        return ()
    return tuple(check_section(parse_document(text, source), SweepSection).allow_failures)


def stated_tolerance(text: str, source: str) -> Tolerance | None:
    """Return the tolerance of `agreement` of a sweep, from the text of the file. Raise ConfigError for no sweep."""
    return _tolerance(check_section(parse_document(text, source), SweepSection))


def _tolerance(section: SweepSection) -> Tolerance | None:
    stated = section.agreement
    return None if stated is None else Tolerance(stated.absolute, stated.relative)


@dataclass(frozen=True, slots=True)
class _Ground:
    """Hold the folders whose files a sweep may send. `own` is the sweep's folder, if the sweep file is there."""

    reach: Reach
    own: Path | None


def _is_written_at(path: Path, text: str, overrides: Sequence[str]) -> bool:
    try:
        return overridden(read_document(path), overrides).text == text
    except ConfigError:
        return False


def _resolve(document: Document, path: Path, verify: bool, ground: _Ground) -> SweepFile:
    section = check_section(document, SweepSection, lambda: _further_mistakes(document, path, ground))
    if wrong := [*model_or_models(document.data)]:
        raise refuse(document, wrong)
    models = _models(section, document, path, verify, ground)
    runtimes = _runtimes(section, document, path.parent)
    complaints = (*contradictions(section, runtimes, models), *_wrong_files(runtimes, section, models, ground))
    if complaints:
        raise refuse(document, complaints)
    sweep = _sweep(section, runtimes, models[0].directory, path)
    names = sweep.variants or tuple(dict.fromkeys(name for model in models for name in model.variants))
    # A list of one model means the same as that model.
    swept = tuple(_swept(model, names) for model in models) if len(models) > 1 else ()
    return SweepFile(replace(sweep, variants=names, models=swept), models[0], document.text, further=models[1:])


def _models(section: SweepSection, document: Document, path: Path, verify: bool, ground: _Ground) -> tuple[Model, ...]:
    places: list[tuple[Place, str]] = [(("models", index), one) for index, one in enumerate(section.models)]
    models = []
    for place, reference in places or [(("model",), section.model)]:
        found = _find_model(reference, path.parent, document, place)
        if wrong := ground.reach.objection_to_model(found, ground.own):
            raise refuse(document, [Complaint(place, *wrong)])
        models.append(load_model(found, verify))
    return tuple(models)


def _swept(model: Model, names: Sequence[str]) -> SweptModel:
    return SweptModel(model.name, model.directory, tuple(name for name in names if name in model.variants))


def _further_mistakes(document: Document, path: Path, ground: _Ground) -> Iterator[Complaint]:
    yield from model_or_models(document.data)
    yield from _unknown_variants(document, path, ground)


def _unknown_variants(document: Document, path: Path, ground: _Ground) -> Iterator[Complaint]:
    """Yield a complaint for each unknown variant of a sweep with other mistakes, if the sweep names a sound model."""
    data = document.data
    reference, names = (data.get("model"), data.get("variants")) if isinstance(data, dict) else (None, None)
    if not isinstance(reference, str) or not isinstance(names, list):
        return
    try:
        found = _find_model(reference, path.parent, document, ("model",))
        model = None if ground.reach.objection_to_model(found, ground.own) else load_model(found, verify=False)
    except ConfigError:  # told once the sweep's own mistakes are mended
        return
    if model is not None:
        yield from unknown_variants(names, [model])


def _find_model(reference: str, folder: Path, document: Document, place: Place) -> Path:
    """Look beside the sweep file first, then in the working folder."""
    written = expanded(reference)
    candidates = tuple(dict.fromkeys(_tidy(around / written) for around in (folder, Path())))
    for candidate in candidates:
        if is_file(candidate / MODEL_FILE):
            return candidate
    tried = " nor ".join(str(candidate / MODEL_FILE) for candidate in candidates)
    hint = next(filter(None, map(suggest_model, candidates)), None)
    raise refuse(document, [Complaint(place, f"no model {quoted(reference)}: there is no {tried}", hint)])


def _tidy(path: Path) -> Path:
    """Return a path without `..`, unless a linked folder makes that another place."""
    tidy = Path(normpath(path))
    return tidy if resolved(tidy) == resolved(path) else path


def _runtimes(section: SweepSection, document: Document, parent: Path) -> tuple[RuntimeSpec, ...]:
    folder = resolved(parent)
    return tuple(
        replace(_runtime(entry, folder), declared_at=document.where(("runtimes", index)))
        for index, entry in enumerate(section.runtimes)
    )


def _runtime(entry: str | ExecEntry | EndpointEntry, folder: Path) -> RuntimeSpec:
    if isinstance(entry, str):
        return parse_runtime(entry)
    if isinstance(entry, EndpointEntry):
        return _endpoint(entry.endpoint, folder)
    program: ExecSection = entry.exec_
    executed = ExecProgram(
        command=tuple(program.command),
        files=_program_files(program.files, folder),
        format=Format(program.format) if program.format else None,
        packages=tuple(program.packages),
    )
    return RuntimeSpec(f"exec/{program.name}", RuntimeSource.EXEC, program.name, program=executed)


def _program_files(files: Sequence[str], folder: Path) -> tuple[tuple[str, str], ...]:
    return tuple((Path(file).name, str(resolved(folder / expanded(file)))) for file in files)


def _endpoint(section: EndpointSection, folder: Path) -> RuntimeSpec:
    serve, name = section.serve, section.name or section.protocol
    program = ExecProgram(
        command=tuple(serve.command) if serve else (),
        files=_program_files(serve.files, folder) if serve else (),
        format=Format(section.format) if section.format else None,
        packages=tuple(section.packages),
    )
    ready_s_max = {} if serve is None else {"ready_s_max": serve.ready_s_max}
    served = Endpoint(
        section.protocol,
        section.model,
        section.url,
        section.version,
        signature=section.signature,
        template=_template(section.template) if section.template else None,
        **ready_s_max,
    )
    return RuntimeSpec(f"endpoint/{name}", RuntimeSource.ENDPOINT, name, program=program, endpoint=served)


def _template(section: TemplateSection) -> HttpTemplate:
    return HttpTemplate(
        section.method, section.path, section.ready_path, section.body, tuple(sorted(section.outputs.items()))
    )


def _wrong_files(
    runtimes: tuple[RuntimeSpec, ...], section: SweepSection, models: Sequence[Model], ground: _Ground
) -> Iterator[Complaint]:
    variants = [
        model.variants[name]
        for model in models
        for name in section.variants or model.variants
        if name in model.variants
    ]
    for index, runtime in enumerate(runtimes):
        chosen = (artifact_for(variant, runtime) for variant in variants)
        names = {artifact.file_name for artifact in chosen if artifact is not None}
        for position, (name, path) in enumerate(runtime.program.files if runtime.program else ()):
            above = ("exec",) if runtime.endpoint is None else ("endpoint", "serve")
            place: Place = ("runtimes", index, *above, "files", position)
            if name in names:
                yield Complaint(place, f"two files named {quoted(name)} would meet in the trial's folder")
            elif wrong := ground.reach.objection_to_file(Path(path), ground.own):
                yield Complaint(place, *wrong)
            elif not is_file(Path(path)):
                yield Complaint(place, f"no such file: {name}", "files are relative to the sweep file")
            names.add(name)


def _sweep(section: SweepSection, runtimes: tuple[RuntimeSpec, ...], directory: str, path: Path) -> Sweep:
    stop = section.stop
    return Sweep(
        name=section.sweep,
        model=directory,
        variants=tuple(section.variants),
        runtimes=runtimes,
        matrix={key: tuple(values) for key, values in section.matrix.items()},
        exclude=tuple(section.exclude),
        measure=_policy(section.measure),
        trials=section.trials if stop is None else stop.trials_max,
        accuracy=Accuracy(section.accuracy.dataset, section.accuracy.metric) if section.accuracy else None,
        order=Order(section.order.interleave, section.order.seed),
        retries=retries_of(section),
        trial_timeout_s=section.timeouts.trial_s,
        source=str(path),
        allow_failures=tuple(section.allow_failures),
        only=tuple(section.only),
        limits=limits_of(section),
        cooling=cooling_of(section),
        unthrottled=section.conditions.throttled is False,
        profile=section.profile,
        environment=dict(section.environment),
        stop=None if stop is None else Stop(stop.ci_halfwidth, stop.trials_max, stop.device_s_max),
        preemptible=section.preemptible,
        need=_need(section.devices),
        agreement=_tolerance(section),
        delegation=Delegation(section.delegates.nodes_min, section.delegates.allow_fallback),
    )


def _need(devices: DevicesSection | None) -> Need | None:
    if devices is None:
        return None
    spread = SITE if devices.spread is True else devices.spread or None
    return Need(devices.select, devices.count, spread)


def _policy(measure: MeasureSection) -> MeasurePolicy:
    return MeasurePolicy(
        warmup_runs_min=measure.warmup.runs_min,
        warmup_seconds_min=measure.warmup.seconds_min,
        runs_min=measure.runs_min,
        seconds_min=measure.seconds_min,
        seconds_max=measure.seconds_max,
        runs_max=measure.runs_max,
        scenario=measure.scenario,
        streams=measure.streams,
        rate_per_s=measure.rate_per_s,
        p99_ms_max=measure.p99_ms_max,
    )
