"""Load a sweep file, with the model that it names, and find every file of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path

from orchestrator.domain.model import Model
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Accuracy, MeasurePolicy, Order, Retries, Sweep
from orchestrator.specs.document import Document, Place, parse_document, read_document
from orchestrator.specs.model import MODEL_FILE, load_model, suggest_model
from orchestrator.specs.paths import expanded, is_file, resolved
from orchestrator.specs.runtime import parse_runtime
from orchestrator.specs.schema import Complaint, check_section, refuse
from orchestrator.specs.sweep_checks import contradictions
from orchestrator.specs.sweep_schema import ExecEntry, ExecSection, MeasureSection, SweepSection


@dataclass(frozen=True, slots=True)
class SweepFile:
    """A sweep, the model that it names, and the file's text as it was read."""

    sweep: Sweep
    model: Model
    text: str


def load_sweep(path: Path, verify: bool = True) -> SweepFile:
    """Read a sweep file; raise one ConfigError for everything wrong with it. `verify` hashes the model's files."""
    return _resolve(read_document(path), path, verify)


def parse_sweep(text: str, path: Path, verify: bool = True) -> SweepFile:
    """Read a sweep from its text, as if it stood at `path`: a recorded run knows both."""
    return _resolve(parse_document(text, str(path)), path, verify)


def _resolve(document: Document, path: Path, verify: bool) -> SweepFile:
    section = check_section(document, SweepSection)
    folder = path.parent.resolve()
    model = load_model(_find_model(section.model, path.parent, document), verify)
    runtimes = tuple(
        replace(_runtime(entry, folder), declared_at=document.where(("runtimes", index)))
        for index, entry in enumerate(section.runtimes)
    )
    complaints = (*contradictions(section, runtimes, model), *_wrong_files(runtimes, section, model))
    if complaints:
        raise refuse(document, complaints)
    return SweepFile(_sweep(section, runtimes, model, path), model, document.text)


def _find_model(reference: str, folder: Path, document: Document) -> Path:
    """Look beside the sweep file first, then in the working folder."""
    written = expanded(reference)
    candidates = tuple(dict.fromkeys(_tidy(around / written) for around in (folder, Path())))
    for candidate in candidates:
        if is_file(candidate / MODEL_FILE):
            return candidate
    tried = " nor ".join(str(candidate / MODEL_FILE) for candidate in candidates)
    hint = next(filter(None, map(suggest_model, candidates)), None)
    raise refuse(document, [Complaint(("model",), f"no model {reference!r}: there is no {tried}", hint)])


def _tidy(path: Path) -> Path:
    """Return a path without `..`, unless a linked folder makes that another place."""
    tidy = Path(normpath(path))
    return tidy if resolved(tidy) == resolved(path) else path


def _runtime(entry: str | ExecEntry, folder: Path) -> RuntimeSpec:
    if isinstance(entry, str):
        return parse_runtime(entry)
    program: ExecSection = entry.exec_
    files = tuple((Path(file).name, str(folder / expanded(file))) for file in program.files)
    name = program.name
    return RuntimeSpec(f"exec/{name}", RuntimeSource.EXEC, name, program=ExecProgram(tuple(program.command), files))


def _wrong_files(runtimes: tuple[RuntimeSpec, ...], section: SweepSection, model: Model) -> Iterator[Complaint]:
    reserved = {Path(model.variants[name].path).name for name in section.variants if name in model.variants}
    for index, runtime in enumerate(runtimes):
        names = set(reserved)
        for position, (name, path) in enumerate(runtime.program.files if runtime.program else ()):
            place: Place = ("runtimes", index, "exec", "files", position)
            if not is_file(Path(path)):
                yield Complaint(place, f"no such file: {name}", "files are relative to the sweep file")
            elif name in names:
                yield Complaint(place, f"two files named {name!r} would meet in the trial's folder")
            names.add(name)


def _sweep(section: SweepSection, runtimes: tuple[RuntimeSpec, ...], model: Model, path: Path) -> Sweep:
    return Sweep(
        name=section.sweep,
        model=model.directory,
        variants=tuple(section.variants),
        runtimes=runtimes,
        matrix={key: tuple(values) for key, values in section.matrix.items()},
        exclude=tuple(section.exclude),
        measure=_policy(section.measure),
        trials=section.trials,
        accuracy=Accuracy(section.accuracy.dataset, section.accuracy.metric) if section.accuracy else None,
        order=Order(section.order.interleave, section.order.seed),
        retries=Retries(section.retries.failed, section.retries.invalid),
        trial_timeout_s=section.timeouts.trial_s,
        source=str(path),
    )


def _policy(measure: MeasureSection) -> MeasurePolicy:
    return MeasurePolicy(
        warmup_runs_min=measure.warmup.runs_min,
        warmup_seconds_min=measure.warmup.seconds_min,
        runs_min=measure.runs_min,
        seconds_min=measure.seconds_min,
        seconds_max=measure.seconds_max,
        runs_max=measure.runs_max,
    )
