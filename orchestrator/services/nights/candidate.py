"""Fix the contents of a night: make the candidate's artifacts, and write sweeps and models down, once a night."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.domain.model import Artifact, Format, Model, Variant
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.nightly import Nightly
from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Order, Setting, Sweep
from orchestrator.services.nights.builds import build_now
from orchestrator.services.nights.folder import NightBlobs, NightFolder
from orchestrator.specs.paths import open_below, open_regular, reading_remedy
from orchestrator.specs.runtime import parse_runtime

if TYPE_CHECKING:
    from orchestrator.services.base import NightWiring
    from orchestrator.specs.nightly import NightlyFile
    from orchestrator.specs.sweep import SweepFile

_TAIL_CHARACTERS = 1_000
_NAME_MAX = 63


@dataclass(frozen=True, slots=True)
class NightSweep:
    """Hold a sweep of a night as written down. `declared` maps each runtime to the runtime of the user's sweep.

    Names of cells have the declared runtime, and stay the same from night to night.
    """

    path: Path
    file: SweepFile
    declared: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the sweep's name."""
        return self.file.sweep.name


@dataclass(frozen=True, slots=True)
class Fixed:
    """Hold the sweeps under test of a night, and the sweeps of canaries."""

    sweeps: tuple[NightSweep, ...]
    canaries: tuple[NightSweep, ...]


def fix(stem: str, file: NightlyFile, folder: NightFolder, wiring: NightWiring) -> Fixed:
    """Return the sweeps of a night. A later call for the same night returns the same sweeps, after any change.

    `stem` is how the files of the night begin.

    Raise ConfigError if the nightly file has changed since the night began, and OrchestratorError if the candidate's
    command fails.
    """
    record = folder.path / f"{stem}.json"
    digest = hashlib.sha256(file.text.encode()).hexdigest()
    if not record.exists():
        sweeps, canaries = _sweeps(file.nightly.sweeps, wiring), _sweeps(file.nightly.canaries, wiring)
        check_candidate(file.nightly, [one.sweep for one in sweeps], [one.model for one in sweeps])
        make(file.nightly)
        written = _Writer(stem, file.nightly, folder, wiring)
        document = {
            "nightly_sha256": digest,
            "build": build_now(file.nightly, sweeps),
            "sweeps": [written.sweep(number, one) for number, one in enumerate(sweeps)],
            "canaries": [written.canary(number, one) for number, one in enumerate(canaries)],
        }
        # Last: with this file the night is fixed.
        folder.write(record.name, json.dumps(document, indent=1) + "\n")
    refuse_changed(stem, file, folder)
    known = _read(record)
    return Fixed(*(tuple(_load(one, folder, wiring) for one in known[key]) for key in ("sweeps", "canaries")))


def refuse_changed(stem: str, file: NightlyFile, folder: NightFolder) -> None:
    """Raise ConfigError if the nightly file has changed since a night was fixed: the verdict would mix two."""
    record = folder.path / f"{stem}.json"
    digest = hashlib.sha256(file.text.encode()).hexdigest()
    if record.exists() and _read(record)["nightly_sha256"] != digest:
        raise ConfigError(
            f"{file.nightly.source} has changed since the night {stem} began",
            "undo the change to go on with that night, or begin another one with --again",
        )


def is_rebuilt(stem: str, file: NightlyFile, folder: NightFolder, wiring: NightWiring) -> bool:
    """Return True if the files of the build have changed since a night was fixed, False where nobody can know."""
    record = folder.path / f"{stem}.json"
    known = _read(record).get("build") if record.exists() else None
    if known is None:
        return False
    now = build_now(file.nightly, _sweeps(file.nightly.sweeps, wiring))
    return now is not None and now != known


def _sweeps(paths: Iterable[str], wiring: NightWiring) -> list[SweepFile]:
    """Return the sweeps of a night. A sweep of several models is one sweep for each, called NAME-MODEL."""
    return [one for path in paths for one in _by_model(wiring.sweep_file(Path(path)))]


def _by_model(file: SweepFile) -> Sequence[SweepFile]:
    if not file.sweep.models:
        return (file,)
    # A night rejects, quarantines and reruns by sweep: what becomes of one model must not touch another.
    parts = ((one, f"{file.sweep.name}-{one.model.name}"[:_NAME_MAX]) for one in file.by_model())
    return [replace(part, sweep=replace(part.sweep, name=name)) for part, name in parts]


def check_candidate(nightly: Nightly, sweeps: Sequence[Sweep], models: Sequence[Model]) -> None:
    """Raise ConfigError for a part of the candidate outside of every sweep: the night would judge another build."""
    names = [sweep.name for sweep in sweeps]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{nightly.source}: two sweeps are called {quoted(name)}", "give each a name of its own")
    known = {model.name: model for model in models}
    for name, variants in nightly.candidate.artifacts.items():
        if name not in known:
            words = f"{nightly.source}: no sweep measures a model {quoted(name)}"
            raise ConfigError(words, did_you_mean(name, known))
        measured = {
            one for sweep, model in zip(sweeps, models, strict=True) if model.name == name for one in sweep.variants
        }
        for variant, forms in variants.items():
            if variant not in measured:
                words = f"{nightly.source}: no sweep measures a variant {quoted(variant)} of model {quoted(name)}"
                raise ConfigError(words, did_you_mean(variant, measured))
            for form in forms.keys() - set(known[name].variants[variant].formats):
                formats = ", ".join(known[name].variants[variant].formats)
                raise ConfigError(f"{nightly.source}: {name} {variant} has no {form} artifact", f"it has: {formats}")
    labels = {runtime.label for sweep in sweeps for runtime in sweep.runtimes}
    for label in nightly.candidate.runtimes:
        if label not in labels:
            raise ConfigError(
                f"{nightly.source}: no sweep measures runtime {quoted(label)}", did_you_mean(label, labels)
            )


def make(nightly: Nightly) -> None:
    """Run the command for the candidate's artifacts. Raise OrchestratorError if the command fails."""
    command = nightly.candidate.command
    if not command:
        return
    limit_s = nightly.candidate.command_timeout_s
    try:
        code, said = _finished(command, nightly.folder, limit_s)
    except subprocess.TimeoutExpired:
        raise OrchestratorError(f"the candidate's command {quoted(command[0])} took more than {limit_s:g} s") from None
    except OSError as error:
        raise ConfigError(f"the candidate's command {quoted(command[0])} cannot be run: {error.strerror}") from None
    if code:
        raise OrchestratorError(
            f"the candidate's command {quoted(command[0])} ended with {code}: {said or 'it said nothing'}",
            "nothing was measured; the night begins anew with the next call",
        )


def _finished(command: Sequence[str], folder: str, limit_s: float) -> tuple[int, str]:
    """Return the exit code of a command, and the end of the command's output. No child outlives the command."""
    with subprocess.Popen(
        command,
        cwd=folder,
        # A build that asks a question at night would wait for its time-out.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except BaseException:
            # The whole group, since a build has children. Ctrl-C reaches none of them by itself.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    # The end of the output: there a build says what went wrong.
    return process.returncode, (err or out).decode(errors="replace").strip()[-_TAIL_CHARACTERS:]


def _read(record: Path) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{record}: cannot be read: {error}", "begin another night with --again") from None
    return document


def _load(entry: Mapping[str, Any], folder: NightFolder, wiring: NightWiring) -> NightSweep:
    path = folder.path / entry["file"]
    return NightSweep(path, wiring.sweep_file(path), entry["declared"])


@dataclass(frozen=True, slots=True)
class _Writer:
    """Write the sweeps of a night."""

    stem: str
    nightly: Nightly
    folder: NightFolder
    wiring: NightWiring

    def sweep(self, number: int, file: SweepFile) -> Mapping[str, Any]:
        """Write a sweep, with runtimes and artifacts of the candidate in place."""
        return self._write(f"first-look.{number}", file, self.nightly.candidate.runtimes, self._artifacts(file.model))

    def canary(self, number: int, file: SweepFile) -> Mapping[str, Any]:
        """Write a sweep of canaries without a change."""
        # Nothing of the candidate: drift shows by models that never change.
        return self._write(f"canary.{number}", file, {}, {})

    def _artifacts(self, model: Model) -> Mapping[tuple[str, Format], Path]:
        named = self.nightly.candidate.artifacts.get(model.name, {})
        return {(variant, form): Path(path) for variant, forms in named.items() for form, path in forms.items()}

    def _write(
        self, name: str, file: SweepFile, runtimes: Mapping[str, str], artifacts: Mapping[tuple[str, Format], Path]
    ) -> Mapping[str, Any]:
        model = write_model(file.model, file.sweep.variants, artifacts, self.folder, self.wiring.cache())
        chosen = [self._runtime(one, runtimes) for one in file.sweep.runtimes]
        sweep = replace(
            file.sweep,
            model=model.directory,
            runtimes=tuple(chosen),
            exclude=renamed(file.sweep.exclude, runtimes),
            allow_failures=renamed(file.sweep.allow_failures, runtimes),
            order=Order(file.sweep.order.interleave, seed_of(self.stem, name)),
        )
        # Anew: a night that was cut off here may have written an earlier candidate.
        written = self.folder.sweep(f"{self.stem}.{name}", sweep, anew=True)
        declared = {new.label: old.label for new, old in zip(chosen, file.sweep.runtimes, strict=True)}
        return {"file": written.name, "declared": declared}

    def _runtime(self, runtime: RuntimeSpec, runtimes: Mapping[str, str]) -> RuntimeSpec:
        label = runtimes.get(runtime.label)
        if label is not None:
            return parse_runtime(label)
        if runtime.program is None:
            return runtime
        cache = self.wiring.cache()
        blobs = {name: cache.add(open_regular(Path(path)), BlobKind.FILE, name) for name, path in runtime.program.files}
        return self.folder.runtime(runtime, blobs)


def write_model(
    model: Model,
    variants: Iterable[str],
    artifacts: Mapping[tuple[str, Format], Path],
    folder: NightFolder,
    cache: NightBlobs,
) -> Model:
    """Write a model of the named variants and their ancestors, with artifacts replaced.

    Raise ConfigError for an unreadable file.
    """
    blobs: dict[str, Blob] = {}

    def taken(file: BufferedReader, kind: BlobKind, name: str) -> str:
        blob = cache.add(file, kind, name)
        blobs[blob.sha256] = blob
        return blob.sha256

    def new(variant: str, one: Artifact) -> Artifact:
        replacement = artifacts.get((variant, one.format))
        with _reading(replacement or Path(one.path)):
            file = open_regular(replacement) if replacement else open_below(Path(model.directory), Path(one.path))
        # By the old name: a longer name would change the memory layout of a trial's process.
        return replace(one, sha256=taken(file, BlobKind.MODEL, one.file_name))

    kept = with_ancestors(model, variants)
    written = {
        name: replace(variant, artifacts=tuple(new(name, one) for one in variant.artifacts))
        for name, variant in kept.items()
    }
    for dataset in model.datasets.values():
        with _reading(Path(dataset.path)):
            file = open_below(Path(model.directory), Path(dataset.path))
        taken(file, BlobKind.DATASET, dataset.name)
    return folder.model(replace(model, variants=written), blobs, input_blobs(model, cache))


def input_blobs(model: Model, cache: NightBlobs) -> Mapping[str, Blob]:
    """Return the content of each file that inputs are taken from, by path. Raise ConfigError for an unreadable file."""
    found: dict[str, Blob] = {}
    for path in dict.fromkeys(one.file for one in model.all_inputs if one.file is not None):
        with _reading(Path(path)):
            file = open_below(Path(model.directory), Path(path))
        found[path] = cache.add(file, BlobKind.INPUT, Path(path).name)
    return found


def with_ancestors(model: Model, variants: Iterable[str]) -> Mapping[str, Variant]:
    """Return the named variants with all ancestors: results keep parents and bases."""
    kept: dict[str, Variant] = {}
    for name in variants:
        variant: str | None = name
        while variant is not None and variant not in kept:
            kept[variant] = model.variants[variant]
            variant = kept[variant].parent
    return kept


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = reading_remedy(error, path, "did the candidate's command make it?")
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", remedy) from None


def renamed(rules: Iterable[Mapping[str, Setting]], runtimes: Mapping[str, str]) -> tuple[Mapping[str, Setting], ...]:
    """Return rules with the new names of runtimes. A pattern of several runtimes stays."""
    return tuple(
        {key: runtimes.get(str(value), value) if key == "runtime" else value for key, value in rule.items()}
        for rule in rules
    )


def seed_of(*words: str) -> int:
    """Return a seed for the order of trials: another seed for each run, and the same seed if a night goes on."""
    # Seven bytes: eight could exceed the signed integers of both databases.
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:7])
