"""Extend a run by trials of its cells: record the further trials in the plan, before any device gets the plan."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import coordinates_of, names_cell, read_rule, with_model
from orchestrator.domain.nearest import all_known, did_you_mean
from orchestrator.domain.plan.document import ShippedJob, planned_jobs
from orchestrator.domain.plan.extend import ExtendedPlan, extend_plan, extensions, planned_per_job
from orchestrator.domain.policy import TRIALS_MAX
from orchestrator.domain.run import RunRecord
from orchestrator.domain.sweep import MODEL
from orchestrator.reporting.base import RunDisplay
from orchestrator.store.base import Roles

STEP = "extend"


@dataclass(frozen=True, slots=True)
class MoreTrials:
    """Say how many trials cells shall have: `count` more, or `count` in all.

    `cells` are rules of names and globs, such as {"variant": "int8"}. A cell counts if any rule matches. Without rules
    every cell counts.
    """

    count: int
    is_more: bool
    cells: tuple[Mapping[str, str], ...] = ()

    def lacking(self, planned: int) -> int:
        """Return how many trials a cell with so many planned trials still needs."""
        return self.count if self.is_more else max(0, self.count - planned)


def read_more_trials(trials: str, cells: Sequence[str] = ()) -> MoreTrials:
    """Read `+3` (three more) or `8` (eight in all), and rules such as `variant=int8,threads=1`.

    Raise ConfigError for any other text.
    """
    found = re.fullmatch(r"(\+?)([0-9]{1,6})", trials.strip())
    if found is None or not 1 <= int(found[2]) <= TRIALS_MAX:
        raise ConfigError(
            f"--trials {trials!r} is no number of trials",
            f"+3 adds three trials to each cell, and 8 brings each cell to eight in all; at most {TRIALS_MAX}",
        )
    return MoreTrials(int(found[2]), bool(found[1]), tuple(read_rule(text, "--cells") for text in cells))


def extend_run(record: RunRecord, wanted: MoreTrials, devices: Collection[str], store: Roles, show: RunDisplay) -> None:
    """Record further trials for the cells of the named devices of a run, in one transaction.

    While trials of an earlier extension have not run there, no trial is added: the caller goes on with those trials.
    A command repeated after an interruption therefore adds no trial twice. Cells rejected by a preflight get no trials.

    Raise ConfigError if no cell matches. Raise StoreError if another command has extended the run meanwhile.
    """
    run = record.header.run
    documents = {
        entry.device: document
        for entry in record.devices
        if entry.device in devices and (document := store.plans.plan_document(run, entry.device)) is not None
    }
    for name in sorted(devices - documents.keys()):
        show.warned(name, "it has no plan yet, so that no trial can be added", f"benchfleet runs resume {run} plans it")
    if _goes_on(run, documents, store, show):
        return
    # Over all devices of the run: one number means one command.
    numbers = (one.number for document in _all_plans(record, store) for one in extensions(document))
    addition = _Addition(wanted, 1 + max(numbers, default=0), store.progress.rejected_jobs(run), show)
    matching = {
        device: [
            job
            for job in planned_jobs(document)
            if _is_wanted(wanted, device, with_model(job.label, record.header.model))
        ]
        for device, document in documents.items()
    }
    if documents and not any(matching.values()):
        raise _no_cell(wanted, documents)
    plans = [addition.extend(device, documents[device], jobs) for device, jobs in matching.items()]
    store.plans.extend_plans(run, [plan for plan in plans if plan is not None])


@dataclass(frozen=True, slots=True)
class _Addition:
    """Hold the additions to each device. `rejected` are the jobs with a failed preflight, by device."""

    wanted: MoreTrials
    number: int
    rejected: Mapping[str, Collection[str]]
    show: RunDisplay

    def extend(self, device: str, document: bytes, jobs: Sequence[ShippedJob]) -> ExtendedPlan | None:
        """Return the extended plan of a device, or None if no cell lacks a trial."""
        planned = planned_per_job(document)
        sound = [job for job in jobs if job.key not in self.rejected.get(device, ())]
        if len(sound) < len(jobs):
            words = f"{_count(len(jobs) - len(sound), 'cell')} that the preflight rejected"
            self.show.warned(device, f"no trial was added to {words}", None)
        more = {job.key: lacking for job in sound if (lacking := self.wanted.lacking(planned[job.key]))}
        if not more:
            words = "every cell has as many trials already" if sound else "no cell of the device gets more trials"
            self.show.step(device, STEP, words)
            return None
        self.show.step(device, STEP, f"{_count(sum(more.values()), 'trial')} added to {_count(len(more), 'cell')}")
        return extend_plan(document, device, more, self.number)


def _goes_on(run: str, documents: Mapping[str, bytes], store: Roles, show: RunDisplay) -> bool:
    """Say whether added trials have not run yet on any of the devices, and show how many."""
    found = False
    for device, document in documents.items():
        added = [trial for one in extensions(document) for trial in one.added]
        # A failed trial has run: a broken cell must not hold an extension open.
        left = set(added).difference(store.progress.done_trials(run, device, retry_failed=False)) if added else ()
        if left:
            found = True
            words = f"{len(left)} of the trials added earlier have not run: going on with those, and nothing was added"
            show.warned(device, words, "repeat the command once they have run")
    return found


def _all_plans(record: RunRecord, store: Roles) -> Sequence[bytes]:
    plans = (store.plans.plan_document(record.header.run, entry.device) for entry in record.devices)
    return [document for document in plans if document is not None]


def _is_wanted(wanted: MoreTrials, device: str, label: str) -> bool:
    return not wanted.cells or names_cell(wanted.cells, device, label)


def _no_cell(wanted: MoreTrials, documents: Mapping[str, bytes]) -> ConfigError:
    labels = [job.label for document in documents.values() for job in planned_jobs(document)]
    names = dict.fromkeys(
        (
            "device",
            MODEL,
            "variant",
            "runtime",
            *(name for label in labels for name in coordinates_of(label)[2]),
        )
    )
    unknown = [key for rule in wanted.cells for key in rule if key not in names]
    hint = did_you_mean(unknown[0], tuple(names)) if unknown else all_known(tuple(dict.fromkeys(labels)))
    return ConfigError("--cells matches no cell of the run", hint)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
