"""List the differences of two runs before any figure: environments and bytes, device by device."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.build import FactChange, PlannedBuild, changed_facts, environment_difference
from orchestrator.domain.expansion import with_model, without_model
from orchestrator.domain.facts import IDENTITY_KEYS
from orchestrator.domain.run import RunRecord
from orchestrator.domain.run_difference import BytesChange, BytesKind, DeviceDifference, RunDifference
from orchestrator.services.results.request import other_run
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import BuildRecords

_NO_FACTS = "the facts of {} are not on record: no plan was made for the device"
_HASHES: Mapping[BytesKind, str] = {
    BytesKind.ARTIFACT: "artifact_sha256",
    BytesKind.RUNTIME: "runtime_sha256",
    BytesKind.WORKER: "worker_sha256",
}


@dataclass(frozen=True, slots=True)
class DifferenceRequest:
    """Ask for the differences from `before` to `after`.

    `after` is a run's id, a unique beginning or "last". `before` may also be a date or "last-before".
    """

    before: str
    after: str


def run_difference(request: DifferenceRequest, wiring: HasRecords) -> RunDifference:
    """Return the differences of two runs. Raise ConfigError for an unknown run, and for the same run twice."""
    store = wiring.store
    after = require_run(store.runs, request.after)
    before = require_run(store.runs, other_run(after, request.before, store))
    names = [[one.device for one in record.devices] for record in (before, after)]
    common = [name for name in names[0] if name in set(names[1])]
    return RunDifference(
        before=before.header.run,
        before_began_at=before.header.started_at,
        after=after.header.run,
        after_began_at=after.header.started_at,
        terms=tuple(_terms(before, after)),
        devices=tuple(_devices(before.header.run, after.header.run, common, store.builds)),
        only_before=tuple(name for name in names[0] if name not in set(names[1])),
        only_after=tuple(name for name in names[1] if name not in set(names[0])),
    )


def _terms(before: RunRecord, after: RunRecord) -> Iterator[FactChange]:
    old, new = before.header, after.header
    sides = (
        ("sweep", old.sweep, new.sweep),
        ("sweep file", _short_hash(old.sweep_document), _short_hash(new.sweep_document)),
        ("model", old.model_words, new.model_words),
        ("seed", str(old.seed), str(new.seed)),
        ("controller", old.controller, new.controller),
        ("flags", _flags(before), _flags(after)),
    )
    yield from (FactChange(*side) for side in sides if side[1] != side[2])


def _flags(record: RunRecord) -> str:
    return json.dumps(record.header.settings, sort_keys=True, ensure_ascii=False, default=str)


def _short_hash(text: str) -> str:
    # A file has many lines, and one line says that two files differ.
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _devices(before: str, after: str, common: Sequence[str], records: BuildRecords) -> Iterator[DeviceDifference]:
    environments = records.run_environments(before), records.run_environments(after)
    planned = records.planned_builds(before), records.planned_builds(after)
    several = len({one.model for side in planned for one in side}) > 1
    builds = tuple(_by_device(side, several) for side in planned)
    for device in common:
        old, new = environments[0].get(device, ()), environments[1].get(device, ())
        unknown = next((_NO_FACTS.format(run) for run, side in ((before, old), (after, new)) if not side), None)
        facts = () if unknown else changed_facts(old, new)
        if not facts and not unknown and (hidden := environment_difference(old, new)):
            # Facts beyond the known names, of a worker of another release.
            facts = (FactChange("hash", old[-1].environment_hash, f"{new[-1].environment_hash} ({', '.join(hidden)})"),)
        yield DeviceDifference(
            device,
            tuple(one for one in facts if _is_hardware(one)),
            tuple(one for one in facts if not _is_hardware(one)),
            tuple(_bytes(builds[0][device], builds[1][device])),
            tuple(label for label in builds[0][device] if label not in builds[1][device]),
            tuple(label for label in builds[1][device] if label not in builds[0][device]),
            unknown,
        )


def _is_hardware(change: FactChange) -> bool:
    return change.fact.partition(".")[0] in IDENTITY_KEYS


def _by_device(builds: Sequence[PlannedBuild], several: bool) -> Mapping[str, dict[str, PlannedBuild]]:
    """Return builds by device and cell. `several`: the two runs have several models, and a cell's words name its own.

    The words of a cell in its own run do not serve: a run of one model names no model, and another run may have more.
    """
    found: dict[str, dict[str, PlannedBuild]] = defaultdict(dict)
    for one in builds:
        found[one.device][with_model(one.label, one.model) if several else without_model(one.label)] = one
    return found


def _bytes(before: Mapping[str, PlannedBuild], after: Mapping[str, PlannedBuild]) -> Iterator[BytesChange]:
    """Yield the differing bytes, each change once with all cells of the change."""
    changes: dict[tuple[BytesKind, str, str], list[str]] = {}
    for label in before:
        for kind, name in _HASHES.items():
            old, new = getattr(before[label], name), getattr(after.get(label), name, None)
            if old is not None and new is not None and old != new:
                changes.setdefault((kind, old, new), []).append(label)
    for (kind, old, new), labels in sorted(changes.items(), key=lambda item: list(BytesKind).index(item[0][0])):
        yield BytesChange(kind, old, new, tuple(labels))
