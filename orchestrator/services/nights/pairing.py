"""Write the sweep of a rerun: the cells of suspects, of the candidate alone or beside the baseline's cells."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from orchestrator.analysis.nights.subjects import CellKey
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import Cell
from orchestrator.domain.model import Artifact, Variant
from orchestrator.domain.plan.document import ShippedFile, ShippedJob
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import artifact_for
from orchestrator.domain.sweep import Order, Setting, Sweep, setting_texts
from orchestrator.services.nights.candidate import NightSweep, input_blobs, seed_of, with_ancestors
from orchestrator.services.nights.folder import NightBlobs, NightFolder
from orchestrator.specs.paths import open_regular
from orchestrator.specs.runtime import parse_runtime

_NAME_MAX = 46  # names have 63 characters at most, and the mark and a number come after
BASELINE_MARK = ".baseline"

CellName = tuple[str, str, str, str, str]
"""A cell of a run: device, variant, runtime, and settings in words."""


class Side(StrEnum):
    """Name the sides of a rerun."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Suspect:
    """Hold a cell to be measured again. `baseline` is None for the candidate alone."""

    cell: CellKey
    job: ShippedJob
    baseline: ShippedJob | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """Hold the file of a rerun's sweep, with the side of each cell."""

    path: Path
    sides: Mapping[CellName, tuple[CellKey, Side]]


def cell_name(cell: Cell) -> CellName:
    """Return the name of a cell within its run."""
    return cell.device, cell.model, cell.variant, cell.runtime, _settings(cell.settings)


def _settings(settings: Mapping[str, Setting]) -> str:
    return ", ".join(setting_texts(sorted(settings.items())))


def obstacle(job: ShippedJob, tonight: ShippedJob, blobs: NightBlobs) -> str | None:
    """Return why a baseline's job cannot run again beside tonight's job, or None."""
    # A sweep names a runtime by its label, so both sides would run on tonight's bundle.
    if job.runtime == tonight.runtime and job.bundles != tonight.bundles:
        return f"{job.runtime} has been packed anew since"
    for file in (job.model, *job.files):
        if not blobs.holds(Blob(file.sha256, file.size, BlobKind.MODEL, file.name)):
            return f"{file.name} ({file.sha256[:12]}) is no longer in the controller's cache"
    try:
        _declared(job)
    except ConfigError as error:
        return error.message
    return None


@dataclass(slots=True)
class _Sides:
    """Collect variants and runtimes of a rerun, and name the baseline's variants and runtimes."""

    original: NightSweep
    folder: NightFolder
    variants: dict[tuple[str, str], Variant] = field(default_factory=dict)
    runtimes: dict[object, RuntimeSpec] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)

    def variant(self, job: ShippedJob, other: ShippedJob) -> str:
        """Return the name of a job's variant. `other` is the candidate's job for the same cell."""
        known = self.original.file.model.variants[other.variant]
        if (job.variant, job.model.sha256) == (other.variant, other.model.sha256):
            self.variants.setdefault((job.variant, ""), known)
            return job.variant
        key = (other.variant, job.model.sha256)
        if key not in self.variants:
            name = self._free(other.variant, {one.name for one in self.variants.values()})
            runtime = next(one for one in self.original.file.sweep.runtimes if one.label == other.runtime)
            made = artifact_for(known, runtime, other.settings)
            assert made is not None
            # There is no such file: the folder of the night takes the content by its hash.
            artifact = Artifact(made.format, f"/{job.model.name}", job.model.sha256)
            self._take(job.model, BlobKind.MODEL)
            self.variants[key] = replace(known, name=name, artifacts=(artifact,), made="the baseline of a night")
        return self.variants[key].name

    def runtime(self, job: ShippedJob, other: ShippedJob) -> str:
        """Return the label of a job's runtime."""
        if (job.runtime, job.command, job.files) == (other.runtime, other.command, other.files):
            spec = next(one for one in self.original.file.sweep.runtimes if one.label == job.runtime)
            return self.runtimes.setdefault(job.runtime, spec).label
        spec = _declared(job)
        if spec.program is None:
            return self.runtimes.setdefault(spec.label, spec).label
        # A plan has hashes of packages alone. A program beside another package than tonight's is no pair.
        tonight = next((one.program for one in self.original.file.sweep.runtimes if one.label == other.runtime), None)
        spec = replace(spec, program=replace(spec.program, packages=tonight.packages if tonight else ()))
        key = (job.command, job.files)
        if key not in self.runtimes:
            for file in job.files:
                self._take(file, BlobKind.FILE)
            name = self._free(spec.name, {one.name for one in self.runtimes.values()})
            placed = self.folder.runtime(
                replace(spec, name=name, label=f"{RuntimeSource.EXEC}/{name}"),
                {file.name: self.blobs[file.sha256] for file in job.files},
            )
            self.runtimes[key] = placed
        return self.runtimes[key].label

    def _take(self, file: ShippedFile, kind: BlobKind) -> None:
        self.blobs[file.sha256] = Blob(file.sha256, file.size, kind, file.name)

    @staticmethod
    def _free(name: str, taken: set[str]) -> str:
        """Return a name for the baseline's side. Baselines of several nights may meet in one rerun."""
        first = f"{name[:_NAME_MAX]}{BASELINE_MARK}"
        names = (first, *(f"{first}-{number}" for number in range(2, len(taken) + 3)))
        return next(one for one in names if one not in taken)


def _declared(job: ShippedJob) -> RuntimeSpec:
    """Return the runtime of a job as a sweep declares a runtime. Raise ConfigError for an unknown runtime."""
    if job.endpoint is not None:
        raise ConfigError(f"{job.runtime} is a server: a night does not run two of them beside each other")
    if job.command is None:
        return parse_runtime(job.runtime)
    name = job.runtime.partition("/")[2]
    files = tuple((file.name, "") for file in job.files)
    return RuntimeSpec(job.runtime, RuntimeSource.EXEC, name, program=ExecProgram(job.command, files))


def write_rerun(
    name: str, original: NightSweep, suspects: Sequence[Suspect], trials: int, place: tuple[NightFolder, NightBlobs]
) -> Rerun:
    """Write the sweep of a rerun, and return the sweep. `name` is the file's name. The cells take turns, by chance.

    `place` is where to write, and where the contents are.

    Raise BlobError for a missing content of the baseline.
    """
    folder, cache = place
    sides = _Sides(original, folder)
    cells: dict[CellName, tuple[CellKey, Side]] = {}
    rules: list[Mapping[str, Setting]] = []
    model = original.file.model.name
    for suspect in suspects:
        jobs = [(suspect.job, Side.CANDIDATE)]
        if suspect.baseline is not None:
            jobs.append((suspect.baseline, Side.BASELINE))
        for job, side in jobs:
            variant, runtime = sides.variant(job, suspect.job), sides.runtime(job, suspect.job)
            device, settings = suspect.cell.device, suspect.job.settings
            cells[device, model, variant, runtime, _settings(settings)] = suspect.cell, side
            rules.append(_rule(device, variant, runtime, settings))
    sweep = _sweep(name, original, sides, rules, trials)
    measured = {one.name: one for one in sides.variants.values()}
    ancestors = with_ancestors(
        replace(original.file.model, variants={**original.file.model.variants, **measured}), measured
    )
    # A rerun measures no accuracy, so that no data set is shipped once more.
    measuring = replace(original.file.model, variants=ancestors, datasets={})
    blobs = {**_kept(measuring.variants.values(), sides.blobs, cache), **sides.blobs}
    written = folder.model(measuring, blobs, input_blobs(measuring, cache))
    return Rerun(folder.sweep(name, replace(sweep, model=written.directory)), cells)


def _kept(variants: Iterable[Variant], known: Mapping[str, Blob], cache: NightBlobs) -> Mapping[str, Blob]:
    """Return the contents of the candidate's artifacts, by their files in the night's folder."""
    artifacts = (one for variant in variants for one in variant.artifacts if one.sha256 not in known)
    return {
        one.sha256: cache.add(open_regular(Path(one.path).resolve()), BlobKind.MODEL, one.file_name)
        for one in artifacts
    }


def _rule(device: str, variant: str, runtime: str, settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """Return a rule for a single cell of a single device."""
    texts = {"device": device, "variant": variant, "runtime": runtime, **settings}
    # A rule's texts are globs, and a name may contain `*` or `[`.
    return {key: glob.escape(value) if isinstance(value, str) else value for key, value in texts.items()}


def _sweep(
    name: str, original: NightSweep, sides: _Sides, rules: Sequence[Mapping[str, Setting]], trials: int
) -> Sweep:
    return replace(
        original.file.sweep,
        name=name[:63],
        variants=tuple(one.name for one in sides.variants.values()),
        runtimes=tuple(sides.runtimes.values()),
        # The rules of `only` name the wanted cells. A rule of the night's sweep could leave one out again.
        exclude=(),
        allow_failures=(),
        only=tuple(rules),
        accuracy=None,
        profile=None,
        stop=None,  # the night decides on trials
        trials=trials,
        order=Order(interleave=True, seed=seed_of(name)),
    )
