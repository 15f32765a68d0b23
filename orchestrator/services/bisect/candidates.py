"""Read a list of candidates: files, or versions of a runtime, from good to bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.bisection import Replaces
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.specs.document import read_text
from orchestrator.specs.hashing import sha256_of
from orchestrator.specs.paths import expanded, is_file, open_regular, reading_remedy, resolved
from orchestrator.specs.reach import OWN_FOLDER, Reach
from orchestrator.specs.runtime import parse_runtime

CANDIDATES_MIN, CANDIDATES_MAX = 2, 10_000
_COMMENT = "#"
_FORM = "a line for each: the last good one first, then in order up to one that is bad"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold a candidate as the list names it.

    `path` is for files, `runtime` for versions. Candidates of equal `content` do not differ.
    """

    name: str
    content: str
    path: Path | None = None
    runtime: RuntimeSpec | None = None


@dataclass(frozen=True, slots=True)
class CandidateList:
    """Hold the candidates, with the replaced part of the cell."""

    replaces: Replaces
    candidates: tuple[Candidate, ...]


def read_candidates(
    file: Path, runtime: RuntimeSpec, replaces: Replaces | None, reach: Reach = OWN_FOLDER
) -> CandidateList:
    """Read a list for a cell of a runtime. Paths are relative to the list, and lead to folders of `reach` alone.

    `replaces` None: versions replace the runtime. Files replace the program of an exec runtime that ships files, and
    else the artifact. Raise ConfigError, with file and line, for a list without two candidates, a missing file, a file
    outside of `reach`, or a wrong version.
    """
    lines = _lines(file)
    if len(lines) < CANDIDATES_MIN:
        words = f"a search needs at least {CANDIDATES_MIN} candidates, and there are {len(lines)}"
        raise ConfigError(f"{file}: {words}", _FORM)
    if len(lines) > CANDIDATES_MAX:
        raise ConfigError(f"{file}: {len(lines)} candidates are more than {CANDIDATES_MAX}", _FORM)
    # The first line decides for the whole list: a file beside the list, or else a version.
    are_versions = replaces is Replaces.RUNTIME or (
        replaces is None and runtime.source is RuntimeSource.BUNDLE and not _is_file(file, lines[0][1])
    )
    if are_versions:
        return CandidateList(Replaces.RUNTIME, tuple(_version(file, *line, runtime) for line in lines))
    return CandidateList(replaces or _place_of_files(runtime), tuple(_path(file, *line, reach) for line in lines))


def _lines(file: Path) -> Sequence[tuple[int, str]]:
    # Not splitlines, which also ends lines where no editor does.
    numbered = enumerate((line.strip() for line in read_text(file).split("\n")), 1)
    return [(number, line) for number, line in numbered if line and not line.startswith(_COMMENT)]


def _is_file(file: Path, line: str) -> bool:
    return is_file(file.parent / line)


def _place_of_files(runtime: RuntimeSpec) -> Replaces:
    ships = runtime.program is not None and bool(runtime.program.files)
    return Replaces.PROGRAM if ships else Replaces.ARTIFACT


def _version(file: Path, number: int, line: str, runtime: RuntimeSpec) -> Candidate:
    label = line if "==" in line or runtime.version is None else f"{runtime.name}=={line}"
    try:
        found = parse_runtime(label)
    except ConfigError as error:
        raise ConfigError(f"{file}:{number}: {error.message}", error.hint) from None
    return Candidate(line, found.label, runtime=found)


def _path(file: Path, number: int, line: str, reach: Reach) -> Candidate:
    path = resolved(file.parent / expanded(line))
    if wrong := reach.objection_to_file(path, file.parent):
        raise ConfigError(f"{file}:{number}: {wrong[0]}", wrong[1])
    if not is_file(path):
        raise ConfigError(f"{file}:{number}: there is no file {quoted(line)}", "paths are relative to the list")
    try:
        with open_regular(path) as opened:
            # By content: a build that changed nothing has the answer of its equal, and needs no trials.
            return Candidate(line, sha256_of(opened, path.name), path=path)
    except OSError as error:
        words = f"{file}:{number}: {quoted(line)} cannot be read: {error.strerror}"
        raise ConfigError(words, reading_remedy(error, path, "was it moved just now?")) from None
