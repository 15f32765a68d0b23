"""Write the files of a bundle: a sweep of one cell, every content, the facts of the device then, and the command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.facts import ENVIRONMENT_KEYS, IDENTITY_KEYS, Facts
from orchestrator.domain.plan.document import narrowed_plan
from orchestrator.services.nights.folder import NightFolder

if TYPE_CHECKING:
    from orchestrator.services.base import ReplayWiring
    from orchestrator.services.runs.replayed_cell import Contents, ReplayedCell

SWEEP_NAME = "sweep"
CACHE_FOLDER = "cache"
COMMAND_FILE = "run.sh"
_FACTS = (*IDENTITY_KEYS, *ENVIRONMENT_KEYS)
"""What `env-diff` compares. Other facts, such as host names and folders, are nobody else's business."""

_COMMAND = """\
#!/bin/sh
# Run this in the folder of a lab. Flags are passed on: --select NAME takes another device, --db URL another database.
set -e
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
{cache}exec benchfleet run "$here/sweep.yaml" --select {device} "$@"
"""
_CACHE = f'BENCHFLEET_CACHE_DIR="$here/{CACHE_FOLDER}"\nexport BENCHFLEET_CACHE_DIR\n'

_README = """\
One cell of run {run}, to be measured again:

    {label}
    on {device}, begun {date}, by {release}

Run it in the folder of a lab, whose inventory and database are used:

    sh {name}/run.sh
    sh {name}/run.sh --select NAME      # on another device

sweep.yaml   the sweep, narrowed to the cell; benchfleet run takes it as any other
models/      the model: the measured artifact by its hash, with its ancestors{dataset}
{files}{cache}plan.json    the plan of the cell, as the device had it then
facts.json   hardware and environment of the device then
cell.json    hashes, and the values measured then by each attempt
run.sh       the command

Limits of conditions, such as temperatures, are those of the sweep and of the other lab's inventory. A device of another
name is another series, with the same settings and hashes. Nothing here is a secret of the lab's, unless
the program's command, its files or the model are.
"""


def write_bundle(folder: Path, cell: ReplayedCell, contents: Contents, wiring: ReplayWiring) -> int:
    """Write a bundle into a new folder, and return the size in bytes."""
    place = NightFolder(folder.parent, contents.cache, folder.name)
    inputs = {f"/{file.name}": contents.blobs[file.sha256] for file in cell.job.input_files}
    model = place.model(contents.model(cell), contents.blobs, inputs)
    files = {file.name: contents.blobs[file.sha256] for file in cell.job.files}
    runtime = place.runtime(cell.runtime, files)
    place.sweep(SWEEP_NAME, cell.narrowed_sweep(runtime, model.directory))
    if cell.bundle is not None:
        _keep_runtime(folder / CACHE_FOLDER, cell, contents, wiring)
    place.write("plan.json", narrowed_plan(cell.plan, cell.job.key).decode())
    place.write("facts.json", _json([_environment(one.facts) for one in cell.environments]))
    place.write("cell.json", _json(_account(cell)))
    device = shlex.quote(cell.details.cell.device)
    place.write(COMMAND_FILE, _COMMAND.format(cache=_CACHE if cell.bundle else "", device=device))
    place.write("README.txt", _readme(folder.name, cell))
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _keep_runtime(folder: Path, cell: ReplayedCell, contents: Contents, wiring: ReplayWiring) -> None:
    """Keep the runtime's bundle as a controller's cache does, so that the run has these bytes, without a network."""
    assert cell.bundle is not None
    platform = Facts(cell.environments[0].facts if cell.environments else {}).platform
    # Anybody may repeat the run: a cache of the controller's own is closed to others.
    for name in ("blobs", "bundles"):
        (folder / name).mkdir(parents=True)
    taker = wiring.bundles_at(folder, cell.header.started_at.timestamp)
    taker.adopt(cell.runtime, platform, contents.cache.path(cell.bundle))


def _environment(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    found = Facts(facts)
    known = {name: facts.get(name) for name in _FACTS}
    return {"identity_hash": found.identity_hash, "environment_hash": found.environment_hash, "facts": known}


def _account(cell: ReplayedCell) -> Mapping[str, Any]:
    details, job, coordinates = cell.details, cell.job, cell.details.cell
    return {
        "run": coordinates.run,
        "run_started_at": cell.header.started_at.isoformat(),
        "device": coordinates.device,
        "model": coordinates.model,
        "variant": coordinates.variant,
        "parent": details.parent,
        "runtime": coordinates.runtime,
        "settings": dict(job.settings),
        "job": job.key,
        "artifact_sha256": job.model.sha256,
        "runtime_sha256": cell.build.runtime_sha256,
        "worker_sha256": cell.build.worker_sha256,
        "attempts": [
            {
                "attempt": one.id,
                "trial": one.trial,
                "ordinal": one.ordinal,
                "outcome": one.outcome,
                "counted": one.counted,
                "invalid": list(one.invalid),
                "metrics": {name: summary.value for name, summary in one.metrics.items()},
            }
            for one in details.attempts
        ],
    }


def _readme(name: str, cell: ReplayedCell) -> str:
    return _README.format(
        run=cell.header.run,
        label=cell.details.label,
        device=cell.details.cell.device,
        date=f"{cell.header.started_at:%Y-%m-%d %H:%M} UTC",
        # Without the name of the host, which comes after the release.
        release=cell.header.controller.partition(" on ")[0],
        name=shlex.quote(name),
        dataset="" if cell.job.dataset is None else ", and the data set",
        files="files/       the program's files\n" if cell.job.files else "",
        cache="cache/       the runtime's packages; the run adds what it ships, and needs no network\n"
        if cell.bundle
        else "",
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
