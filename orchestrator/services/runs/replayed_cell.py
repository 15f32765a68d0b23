"""Read a cell of a recorded run back as a sweep of its own, and gather the contents by hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.build import Environment, PlannedBuild
from orchestrator.domain.cell_details import CellDetails
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.model import Artifact, Dataset, Format, Model, ModelInput, Variant, format_of_file
from orchestrator.domain.plan.document import ShippedFile, ShippedInput, ShippedJob, planned_blobs
from orchestrator.domain.run import RunHeader
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Accuracy, Sweep
from orchestrator.services.nights.contents import PlannedCells
from orchestrator.services.runs.show import require_run
from orchestrator.specs.hashing import sha256_of
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.paths import open_regular, resolved
from orchestrator.specs.sweep import declared_sweep

if TYPE_CHECKING:
    from orchestrator.services.nights.folder import NightBlobs
    from orchestrator.store.base import Roles

_MARK = "-replay"
_NAME_MAX = 63 - len(_MARK)
"""Names have 63 characters at most."""


@dataclass(frozen=True, slots=True)
class ReplayedCell:
    """Hold a cell of a run as planned: the job and the plan, the declared sweep, and the model as model.yaml is now.

    `environments` are the device's during the run, the plan's first.
    """

    header: RunHeader
    details: CellDetails
    job: ShippedJob
    plan: bytes
    build: PlannedBuild
    sweep: Sweep
    runtime: RuntimeSpec
    model: Model
    environments: Sequence[Environment]

    @property
    def bundle(self) -> Blob | None:
        """Return the bundle of the pinned runtime. A program, and a runtime of the device itself, have none."""
        named = (blob for blob in planned_blobs(self.plan) if blob.sha256 in self.job.bundles)
        return next((replace(blob, name=f"of {self.job.runtime}") for blob in named), None)

    @property
    def variant(self) -> Variant:
        """Return the measured variant with the measured artifact, without its parent."""
        details, job = self.details, self.job
        form = format_of_file(job.model.name) if details.artifact_format is None else Format(details.artifact_format)
        # There is no such file: the folder of the bundle takes the content by its hash.
        artifact = Artifact(form, f"/{job.model.name}", job.model.sha256)
        known = self.model.variants.get(job.variant)
        is_same = known is not None and job.model.sha256 in [one.sha256 for one in known.artifacts]
        accuracy = known.accuracy if known is not None and is_same else {}
        return Variant(job.variant, (artifact,), details.precision, details.made, accuracy=accuracy)

    @property
    def _accuracy(self) -> Accuracy | None:
        """Return how the cell is judged. A sweep of several models names a data set for each."""
        accuracy, dataset = self.sweep.accuracy, self.job.dataset
        return None if accuracy is None or dataset is None else replace(accuracy, dataset=dataset.name)

    def narrowed_sweep(self, runtime: RuntimeSpec, model_directory: str) -> Sweep:
        """Return the sweep of the cell alone, with runtime and model where the bundle has them."""
        return replace(
            self.sweep,
            # A name of its own: `--against last-before` must not take one cell for a whole run.
            name=f"{self.sweep.name[:_NAME_MAX]}{_MARK}",
            model=model_directory,
            variants=(self.job.variant,),
            runtimes=(runtime,),
            accuracy=self._accuracy,
            # In the order of the sweep, which is that of the cell's words.
            matrix={name: (self.job.settings[name],) for name in self.sweep.matrix if name in self.job.settings},
            # Rules may name what is not in the bundle, and the cell has passed them.
            exclude=(),
            only=(),
            allow_failures=(),
        )


def replayed_cell(job: int, store: Roles) -> ReplayedCell:
    """Return a cell by the database's id of the job. Raise ConfigError for a model without its model.yaml."""
    details = store.cells.cell(job)
    assert details is not None
    run, device = details.cell.run, details.cell.device
    header, plan = require_run(store.runs, run).header, store.plans.plan_document(run, device)
    shipped = PlannedCells(store, {}).job(details.cell)
    directory = next((one.directory for one in header.models if one.name == details.cell.model), header.model_directory)
    sweep = declared_sweep(header.sweep_document, Path(header.sweep_path), directory)
    runtime = next((one for one in sweep.runtimes if one.label == details.cell.runtime), None)
    if plan is None or shipped is None or runtime is None:
        raise ConfigError(f"{device}: run {run} has no plan with {details.label}", "benchfleet runs show names cells")
    builds = (one for one in store.builds.planned_builds(run) if (one.device, one.label) == (device, details.label))
    return ReplayedCell(
        header=header,
        details=details,
        job=shipped,
        plan=plan,
        build=next(builds),
        sweep=sweep,
        runtime=runtime,
        model=_described(directory),
        environments=store.builds.run_environments(run).get(device, ()),
    )


def _described(directory: str) -> Model:
    try:
        # Not verified: contents are taken by hash, wherever they are.
        return load_model(Path(directory), verify=False)
    except ConfigError as error:
        hint = f"restore {MODEL_FILE} there: shape and type of the model's input are on record nowhere else"
        raise ConfigError(error.message, hint) from None


@dataclass(slots=True)
class Contents:
    """Hold the contents of a cell by hash. Each is in the cache, where those of unchanged files are put too."""

    cache: NightBlobs
    blobs: dict[str, Blob] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: ReplayedCell, cache: NightBlobs) -> Contents:
        """Gather the contents of a cell. Raise BlobError naming every missing content by hash and place."""
        found = cls(cache)
        job, missing = cell.job, []
        programs = dict(cell.runtime.program.files if cell.runtime.program else ())
        wanted = [
            (_blob(job.model, BlobKind.MODEL), _path_of_artifact(cell)),
            *((_blob(file, BlobKind.FILE), programs.get(file.name)) for file in job.files),
        ]
        if job.dataset is not None:
            wanted.append((_blob(job.dataset, BlobKind.DATASET), f"{cell.model.directory}/{job.dataset.name}"))
        wanted += [(_blob(file, BlobKind.INPUT), path) for file, path in _input_files(cell)]
        if cell.bundle is not None:
            wanted.append((cell.bundle, None))
        for blob, path in wanted:
            if reason := found.take(blob, path):
                missing.append(f"{blob.kind} {blob.name}, SHA-256 {blob.sha256}, {blob.size} bytes: {reason}")
        if missing:
            hint = "restore a file with that hash where it was, or take the cell of a newer run"
            raise BlobError("\n".join((f"{len(missing)} of {len(wanted)} contents are gone", *missing)), hint)
        return found

    def take(self, blob: Blob, path: str | None) -> str | None:
        """Take a content from the cache, or from the file where it was. Return why there is none, or None."""
        try:
            self.cache.path(blob)
        except BlobError as error:
            reason = "it was packed there" if path is None else self._take_file(blob, path)
            if reason is not None:
                return f"{error.message}; {reason}"
        self.blobs[blob.sha256] = blob
        return None

    def _take_file(self, blob: Blob, path: str) -> str | None:
        try:
            with open_regular(resolved(Path(path))) as file:
                found = sha256_of(file, blob.name)
                if found == blob.sha256:
                    found = self.cache.add(file, blob.kind, blob.name).sha256
        except OSError as error:
            return f"{path}: {error.strerror}"
        return None if found == blob.sha256 else f"{path}: has SHA-256 {found} now"

    def model(self, cell: ReplayedCell) -> Model:
        """Return the model of the measured variant, with its ancestors as far as their contents are at hand."""
        measured = cell.variant
        variants, child, name = {measured.name: measured}, measured.name, cell.details.parent
        while name is not None and name in cell.model.variants and name not in variants:
            ancestor = cell.model.variants[name]
            alike = [one for one in ancestor.artifacts if one.format in measured.formats] or ancestor.artifacts
            # A database that has the model already would otherwise lose the parent of the variant.
            held = tuple(one for one in alike if self._has(one))
            if not held:
                break
            variants[child] = replace(variants[child], parent=name)
            variants[name] = replace(ancestor, artifacts=held, parent=None)
            child, name = name, ancestor.parent
        datasets = {} if cell.job.dataset is None else {cell.job.dataset.name: self._dataset(cell, cell.job.dataset)}
        return replace(
            cell.model,
            name=cell.details.cell.model,
            input=_input(cell.job.input, cell.model.input),
            inputs={name: _input(one, cell.model.input) for name, one in cell.job.inputs.items()},
            output=cell.job.output,
            state=cell.job.state,
            variants=variants,
            datasets=datasets,
            recipe=None,
        )

    def _has(self, artifact: Artifact) -> bool:
        try:
            size = resolved(Path(artifact.path)).stat().st_size
        except OSError:
            return False
        return self.take(Blob(artifact.sha256, size, BlobKind.MODEL, artifact.file_name), artifact.path) is None

    def _dataset(self, cell: ReplayedCell, file: ShippedFile) -> Dataset:
        known = cell.model.datasets.get(file.name)
        is_same = known is not None and known.sha256 == file.sha256
        samples = known.samples if known is not None and is_same else self._labels(file)
        return Dataset(file.name, f"/{file.name}", file.sha256, samples)

    def _labels(self, file: ShippedFile) -> int:
        # Late: numpy takes its time, and model.yaml rarely describes another data set by now.
        from orchestrator.analysis.dataset import labels_in

        return labels_in(self.cache.path(self.blobs[file.sha256]))


def _input(shipped: ShippedInput, otherwise: ModelInput) -> ModelInput:
    return ModelInput(
        otherwise.shape if shipped.shape is None else shipped.shape,
        shipped.dtype or otherwise.dtype,
        shipped.low,
        shipped.high,
        shipped.from_output,
        # There is no such file: the folder of the bundle takes the content by its hash.
        None if shipped.file is None else f"/{shipped.file.name}",
    )


def _input_files(cell: ReplayedCell) -> Iterable[tuple[ShippedFile, str | None]]:
    """Yield the files that inputs were taken from, each with where model.yaml has it now."""
    declared = {None: (cell.job.input, cell.model.input)} | {
        name: (one, cell.model.inputs.get(name)) for name, one in cell.job.inputs.items()
    }
    for shipped, now in declared.values():
        if shipped.file is not None:
            yield shipped.file, None if now is None else now.file


def _blob(file: ShippedFile, kind: BlobKind) -> Blob:
    return Blob(file.sha256, file.size, kind, file.name)


def _path_of_artifact(cell: ReplayedCell) -> str:
    """Return the file of the measured artifact, whatever its content is now."""
    known = cell.model.variants.get(cell.job.variant)
    declared: Iterable[Artifact] = known.artifacts if known is not None else ()
    by_format: Mapping[str, str] = {one.format.value: one.path for one in declared}
    return by_format.get(cell.details.artifact_format or "", f"{cell.model.directory}/{cell.job.model.name}")
