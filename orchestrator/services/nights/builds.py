"""Tell one build from another: by the bytes of everything that a night would measure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.nightly import Nightly
from orchestrator.domain.plan.document import canonical
from orchestrator.specs.hashing import sha256_of
from orchestrator.specs.paths import open_regular

if TYPE_CHECKING:
    from orchestrator.specs.sweep import SweepFile


def build_now(nightly: Nightly, sweeps: Sequence[SweepFile]) -> str | None:
    """Return a hash of the build as the files stand now, or None where a file cannot be read.

    The candidate's command is not run: what the last one has made is what counts.
    """
    try:
        parts = [[file.text, *_contents(nightly, file)] for file in sweeps]
    except (OSError, OrchestratorError):
        return None  # such as a folder of builds that was emptied after the night
    return hashlib.sha256(canonical(parts)).hexdigest()


def _contents(nightly: Nightly, file: SweepFile) -> Iterator[str]:
    replaced = nightly.candidate.artifacts.get(file.model.name, {})
    for name in file.sweep.variants:
        for artifact in file.model.variants[name].artifacts:
            yield _hash_of(replaced.get(name, {}).get(artifact.format, artifact.path))
    for runtime in file.sweep.runtimes:
        for _, path in runtime.program.files if runtime.program is not None else ():
            yield _hash_of(path)


def _hash_of(path: str) -> str:
    with open_regular(Path(path).resolve()) as file:
        return sha256_of(file, Path(path).name)
