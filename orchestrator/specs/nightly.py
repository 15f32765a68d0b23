"""Load a nightly file, and judge the paths and the command that the file names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.metric import ALIASES, METRICS, is_registered, metric_named
from orchestrator.domain.model import Format, format_of_file
from orchestrator.domain.nearest import did_you_mean, nearest
from orchestrator.domain.nightly import CandidateSpec, MinEffects, Nightly
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.quoting import quoted
from orchestrator.specs.document import Place
from orchestrator.specs.nightly_schema import CandidateSection, Effects, NightlySection, baseline_rule
from orchestrator.specs.paths import expanded, is_file, resolved
from orchestrator.specs.reach import OWN_FOLDER, Reach
from orchestrator.specs.schema import Complaint, load_section, refuse, words_of

NIGHT_MARK = "{night}"


@dataclass(frozen=True, slots=True)
class NightlyFile:
    """Hold a nightly with the text of the file."""

    nightly: Nightly
    text: str


def load_nightly(path: Path, reach: Reach = OWN_FOLDER) -> NightlyFile:
    """Read a nightly file. Raise a single ConfigError with all complaints.

    `reach` names the folders, besides the file's own folder, whose artifacts may be sent to devices.
    """
    section, document = load_section(path, NightlySection)
    folder = resolved(path.parent)
    complaints = (
        *_wrong_paths(section, folder),
        *_wrong_artifacts(section.candidate, folder, reach),
        *_wrong_metrics(section.min_effects),
        *_wrong_outputs(section, folder),
    )
    if complaints:
        raise refuse(document, complaints)
    return NightlyFile(_nightly(section, path, folder), document.text)


def check_command(nightly: Nightly, *, allowed: bool) -> None:
    """Raise ConfigError unless the candidate's command may run on this machine.

    A nightly file of somebody else would otherwise run programs here. `allowed` is the word of the user.
    """
    if not nightly.candidate.command:
        return
    if not allowed:
        program = quoted(nightly.candidate.command[0])
        raise ConfigError(
            f"{nightly.source}: the candidate's command would run {program} on this machine",
            "if you trust the file: --allow-command",
        )
    for path in (Path(nightly.source), Path(nightly.folder)):
        if wrong := _not_own(path):
            raise ConfigError(f"{path}: {wrong}: its command is not run", f"chown and chmod go-w {path}, once read")


def _not_own(path: Path) -> str | None:
    """Return why a path is not the user's own to write, or None."""
    try:
        found = path.stat()
    except OSError as error:
        return str(error.strerror)
    # Root could change the command in any case.
    if found.st_uid not in (0, os.geteuid()):
        return "belongs to another user"
    # A sticky folder lets nobody replace the files of others.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        return "can be written by other users"
    return None


def _wrong_paths(section: NightlySection, folder: Path) -> Iterator[Complaint]:
    for key in ("sweeps", "canaries"):
        seen: set[Path] = set()
        for index, name in enumerate(getattr(section, key)):
            path = resolved(folder / expanded(name))
            if not is_file(path):
                yield Complaint((key, index), f"no such file: {name}", "paths are relative to the nightly file")
            elif path in seen:
                yield Complaint((key, index), f"{words_of((key,))}: {quoted(name)} is there twice")
            seen.add(path)


def _wrong_artifacts(candidate: CandidateSection, folder: Path, reach: Reach) -> Iterator[Complaint]:
    for place, _, path in _artifacts(candidate, folder):
        if wrong := reach.objection_to_file(path, folder):
            yield Complaint(place, *wrong)
        # A command makes the file when a night begins, and not before.
        elif candidate.command is None and not is_file(path):
            yield Complaint(place, f"no such file: {path}", "a command: [...] can make the file")


def _artifacts(candidate: CandidateSection, folder: Path) -> Iterator[tuple[Place, Format, Path]]:
    for model, variants in candidate.artifacts.items():
        for variant, named in variants.items():
            place: Place = ("candidate", "artifacts", model, variant)
            if isinstance(named, str):
                yield place, format_of_file(named), resolved(folder / expanded(named))
            else:
                for form, name in named.items():
                    yield (*place, form), Format(form), resolved(folder / expanded(name))


def _wrong_metrics(effects: Mapping[str, Effects]) -> Iterator[Complaint]:
    seen: dict[str, str] = {}
    for name in effects:
        metric = metric_named(name).name
        # A program of the lab may report any metric: only a name that looks mistyped is refused.
        if not is_registered(name) and nearest(name, [*METRICS, *ALIASES]):
            yield Complaint(("min_effects", name), f"no metric {quoted(name)}", did_you_mean(name, METRICS))
        elif metric in seen:
            yield Complaint(("min_effects", name), f"{quoted(name)} is {quoted(seen[metric])} once more")
        seen[metric] = name


def _wrong_outputs(section: NightlySection, folder: Path) -> Iterator[Complaint]:
    for form, name in _outputs(section).items():
        if not resolved(folder / expanded(name)).is_relative_to(folder):
            words = f"outputs.{form}: {quoted(name)} leads out of the nightly file's folder"
            yield Complaint(("outputs", form), words)


def _outputs(section: NightlySection) -> Mapping[str, str]:
    outputs = section.outputs
    named = {"html": outputs.html, "junit": outputs.junit, "markdown": outputs.markdown, "json": outputs.json_}
    return {form: name for form, name in named.items() if name is not None}


def _nightly(section: NightlySection, path: Path, folder: Path) -> Nightly:
    artifacts: dict[str, dict[str, dict[Format, str]]] = {}
    for place, form, file in _artifacts(section.candidate, folder):
        artifacts.setdefault(str(place[2]), {}).setdefault(str(place[3]), {})[form] = str(file)
    return Nightly(
        name=section.nightly,
        source=str(path),
        folder=str(folder),
        sweeps=tuple(str(resolved(folder / expanded(name))) for name in section.sweeps),
        canaries=tuple(str(resolved(folder / expanded(name))) for name in section.canaries),
        select=section.devices,
        candidate=CandidateSpec(
            artifacts,
            tuple(section.candidate.command or ()),
            section.candidate.command_timeout_s,
            section.candidate.runtimes,
        ),
        baseline=baseline_rule(section.baseline),
        min_effects=_min_effects(section.min_effects),
        accuracy_drop=section.max_accuracy_drop,
        extra=section.device_time.extra,
        extra_most=section.device_time.extra_most,
        trials_most=section.confirm.trials_most,
        notify=tuple(section.notify),
        outputs={form: str(folder / expanded(name)) for form, name in _outputs(section).items()},
    )


def _min_effects(effects: Mapping[str, Effects]) -> tuple[MinEffects, ...]:
    found = []
    for name, written in (effects or {HEADLINE_METRIC: metric_named(HEADLINE_METRIC).min_effect}).items():
        metric = metric_named(name)
        if isinstance(written, dict):
            by_class = tuple((expression, effect) for expression, effect in written.items())
            found.append(MinEffects(metric.name, metric.min_effect, by_class))
        else:
            found.append(MinEffects(metric.name, written))
    return tuple(found)
