"""Write down a step of a bisection: a sweep of two cells, for the good candidate and for another candidate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.analysis.confirmation import LOOKS
from orchestrator.domain.bisection import Replaces
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import Cell
from orchestrator.domain.model import Artifact, Model, Variant
from orchestrator.domain.plan.document import ShippedFile, ShippedJob, planned_jobs
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.runtimes import artifact_for
from orchestrator.domain.series import Series
from orchestrator.domain.sweep import Order, Setting, Sweep, setting_texts, stable_setting
from orchestrator.services.bisect.candidates import Candidate
from orchestrator.services.nights.folder import NightBlobs, NightFolder
from orchestrator.specs.paths import open_regular, reading_remedy, resolved
from orchestrator.specs.sweep import SweepFile
from orchestrator.specs.written import sweep_text

FOLDER = "bisect"
GOOD, OTHER = "good", "candidate"
_NAME_MAX = 50
"""Names have 63 characters at most, and each side adds a word."""
_HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Sides:
    """Name a step's sweep file, the sweep, and the two cells by variant and runtime."""

    path: Path
    sweep: str
    good: tuple[str, str]
    other: tuple[str, str]

    def of(self, cell: Cell) -> bool | None:
        """Return True for the good side's cell, False for the other side's, None for another cell."""
        return {self.good: True, self.other: False}.get((cell.variant, cell.runtime))


@dataclass(frozen=True, slots=True)
class CellUnderTest:
    """Hold the cell of a regression: the sweep, with the cell's variant, artifact and runtime.

    `job` is the cell in the measured plan, with the hashes of all files.
    """

    series: Series
    sweep: Sweep
    model: Model
    variant: Variant
    artifact: Artifact
    runtime: RuntimeSpec
    job: ShippedJob


def cell_under_test(series: Series, file: SweepFile, plan: bytes | None) -> CellUnderTest:
    """Return the cell of a series in its sweep and its measured plan.

    Raise ConfigError for a missing cell.
    """
    file = next((one for one in file.by_model() if one.model.name == series.model), file)
    job = next((one for one in planned_jobs(plan) if _is_of(series, one)), None) if plan is not None else None
    runtime = next((one for one in file.sweep.runtimes if one.label == series.runtime), None)
    variant = file.model.variants.get(series.variant)
    artifact = None if variant is None or runtime is None else artifact_for(variant, runtime, series.settings)
    if variant is None or runtime is None or artifact is None or job is None:
        raise ConfigError(f"{file.sweep.source}: its cell {series.label} is gone", "restore the sweep and its model")
    return CellUnderTest(series, file.sweep, file.model, variant, artifact, runtime, job)


def _is_of(series: Series, job: ShippedJob) -> bool:
    names = (job.variant, job.runtime, _settings(job.settings))
    return job.swept_model in (None, series.model) and names == (
        series.variant,
        series.runtime,
        _settings(series.settings),
    )


def _settings(settings: Mapping[str, Setting]) -> list[str]:
    return setting_texts((name, stable_setting(value)) for name, value in sorted(settings.items()))


class StepFolder:
    """Write the steps of a bisection below a folder. An existing file stays the same."""

    def __init__(self, folder: Path, cache: NightBlobs, cell: CellUnderTest, replaces: Replaces) -> None:
        self._files = NightFolder(folder, cache, FOLDER)
        self._cache, self._cell, self._replaces = cache, cell, replaces

    def sides(self, good: Candidate, other: Candidate) -> Sides:
        """Write a step's sweep with its model and files. Raise ConfigError for an unwritable place."""
        cell = self._cell
        variants = self._variants(good, other)
        runtimes = (self._runtime(good, GOOD), self._runtime(other, OTHER))
        model = self._files.model(*self._model(variants), self._inputs())
        sweep = replace(
            cell.sweep,
            model=model.directory,
            variants=tuple(dict.fromkeys(one.name for one in variants)),
            runtimes=tuple(dict.fromkeys(runtimes)),
            matrix={name: (value,) for name, value in cell.series.settings.items()},
            # Rules of the user's sweep may name variants and runtimes by names that the two sides do not have.
            exclude=(),
            only=(),
            allow_failures=(),
            accuracy=None,
            profile=None,
            stop=None,
            # Later looks extend the run, so that no trial of an earlier look is measured again.
            trials=LOOKS[0],
            order=Order(seed=cell.sweep.order.seed),
        )
        # By content: the same question of another list or another day is the same step.
        text = sweep_text(replace(sweep, name=FOLDER), self._files.path) + cell.series.label
        name = f"{FOLDER}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]}"
        path = self._files.sweep(name, replace(sweep, name=name))
        good_cell, other_cell = ((one.name, ran.label) for one, ran in zip(variants, runtimes, strict=True))
        return Sides(path, name, good_cell, other_cell)

    def _variants(self, good: Candidate, other: Candidate) -> tuple[Variant, Variant]:
        if self._replaces is not Replaces.ARTIFACT:
            return self._variant(None, GOOD), self._variant(None, GOOD)
        return self._variant(good, GOOD), self._variant(other, OTHER)

    def _variant(self, candidate: Candidate | None, side: str) -> Variant:
        cell, artifact = self._cell, replace(self._cell.artifact, sha256=self._cell.job.model.sha256)
        name = cell.variant.name
        if candidate is not None:
            artifact = replace(artifact, path=str(candidate.path), sha256=candidate.content)
            name = f"{name[:_NAME_MAX]}-{side}"
        # The step's model has the two sides alone: a parent would name a variant that is not there.
        return replace(cell.variant, name=name, artifacts=(artifact,), parent=None, accuracy={})

    def _model(self, variants: tuple[Variant, Variant]) -> tuple[Model, Mapping[str, Blob]]:
        # A name of its own: what a search measures must not be the newest value of the model's own cells.
        name = f"{self._cell.model.name[:_NAME_MAX]}-{FOLDER}"
        model = replace(
            self._cell.model, name=name, variants={one.name: one for one in variants}, datasets={}, recipe=None
        )
        artifacts = [one for variant in variants for one in variant.artifacts]
        return model, {one.sha256: self._kept(one) for one in artifacts}

    def _inputs(self) -> Mapping[str, Blob]:
        """Return the measured content of each file that an input is taken from, by path."""
        job, model = self._cell.job, self._cell.model
        pairs = [(job.input, model.input), *((one, model.inputs.get(name)) for name, one in job.inputs.items())]
        return {
            now.file: self._measured(shipped.file, now.file, BlobKind.INPUT)
            for shipped, now in pairs
            if shipped.file is not None and now is not None and now.file is not None
        }

    def _kept(self, artifact: Artifact) -> Blob:
        measured = self._cell.job.model
        if artifact.sha256 == measured.sha256:
            return self._measured(measured, artifact.path, BlobKind.MODEL)
        blob = self._taken(Path(artifact.path), BlobKind.MODEL, artifact.file_name)
        if blob.sha256 != artifact.sha256:
            raise ConfigError(f"{artifact.path}: changed while the search began", "begin again once it is written")
        return blob

    def _measured(self, file: ShippedFile, path: str, kind: BlobKind) -> Blob:
        """Return the measured content, from the cache or from an unchanged file."""
        blob = Blob(file.sha256, file.size, kind, file.name)
        if self._cache.holds(blob):
            return blob
        found = self._taken(resolved(Path(path)), kind, file.name)
        if found.sha256 != file.sha256:
            raise ConfigError(
                f"{path}: is not what the regression was measured with, and the cache has lost that content",
                f"restore the file with the hash {file.sha256}",
            )
        return found

    def _taken(self, path: Path, kind: BlobKind, name: str) -> Blob:
        """Take a regular file into the cache. Raise ConfigError for an unreadable file."""
        try:
            return self._cache.add(open_regular(path), kind, name)
        except OSError as error:
            remedy = reading_remedy(error, path, "restore the file")
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", remedy) from None

    def _runtime(self, candidate: Candidate, side: str) -> RuntimeSpec:
        runtime = self._cell.runtime
        if self._replaces is Replaces.RUNTIME:
            assert candidate.runtime is not None
            return candidate.runtime
        program = runtime.program
        if program is None:
            return runtime
        replaced = _file_replaced(runtime, candidate) if self._replaces is Replaces.PROGRAM else None
        measured = {file.name: file for file in self._cell.job.files}
        files = {
            name: self._measured(measured[name], path, BlobKind.FILE)
            for name, path in program.files
            if name != replaced
        }
        if replaced is not None:
            assert candidate.path is not None
            files[replaced] = self._taken(candidate.path, BlobKind.FILE, replaced)
            name = f"{runtime.name[:_NAME_MAX]}-{side}"
            runtime = replace(runtime, name=name, label=f"exec/{name}")
        return self._files.runtime(runtime, files)


def _file_replaced(runtime: RuntimeSpec, candidate: Candidate) -> str:
    """Return the name of the program's file to be replaced by a candidate."""
    names = [name for name, _ in runtime.program.files] if runtime.program else []
    own = candidate.path.name if candidate.path else candidate.name
    if own in names:
        return own
    if len(names) == 1:
        return names[0]
    raise ConfigError(
        f"{candidate.name}: which file of {runtime.label} is it?",
        f"name it as one of them, in a folder of its own: {', '.join(names)}",
    )
