"""Run a night: begin a night, or go on with the night of the day, and judge the measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.nights.subjects import Key
from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.domain.night import NightReport
from orchestrator.domain.night_document import from_document, to_document
from orchestrator.domain.night_record import NightRecord
from orchestrator.domain.nightly import Nightly
from orchestrator.services.nights.candidate import fix, is_rebuilt, refuse_changed
from orchestrator.services.nights.contents import PlannedCells
from orchestrator.services.nights.disturbance import disturbances
from orchestrator.services.nights.folder import NightFolder, stem_of
from orchestrator.services.nights.history import Past, read_past
from orchestrator.services.nights.measure import Runner
from orchestrator.services.nights.night import Night
from orchestrator.services.nights.outbox import remember
from orchestrator.services.nights.regressions import RegressionKeeper
from orchestrator.services.nights.report import Reporter
from orchestrator.services.nights.subjects import Subjects
from orchestrator.services.nights.values import RunValues
from orchestrator.specs.nightly import check_command

if TYPE_CHECKING:
    from orchestrator.domain.device import Device
    from orchestrator.services.base import NightWiring, Shows
    from orchestrator.store.base import Roles

GOES_ON = timedelta(hours=20)
"""A night that was cut off is gone on with for so long: longer than a night lasts, and shorter than to the next."""


@dataclass(frozen=True, slots=True)
class NightRequest:
    """Ask for a night. `again`: begin another night of the same day. `waits`: queue for busy devices.

    `allow_command` is the user's word for the candidate's command.
    """

    file: Path
    again: bool = False
    allow_command: bool = False
    waits: bool = False


def run_night(
    request: NightRequest, wiring: NightWiring, shows: Shows, says: Callable[[str], None] = lambda _: None
) -> NightReport:
    """Run a night to its end, and return the report. The night of the day is gone on with, or found at its end.

    `says` gets a line for each new measurement.

    Raise ConfigError, with nothing measured, for a wrong file, inventory or candidate. A lost device is a value in the
    report. KeyboardInterrupt leaves the devices running, and another call goes on.
    """
    file = wiring.nightly_file(request.file)
    nightly = file.nightly
    check_command(nightly, allowed=request.allow_command)
    devices, notes = usable(wiring.inventory().select(nightly.select), wiring.store)
    folder = NightFolder(Path(nightly.folder), wiring.cache())
    with folder.alone(nightly.name):
        # Under the lock: two processes would otherwise both find no night, and begin two.
        record = begin(nightly, wiring.store, again=request.again)
        database = wiring.store.leases.database_id()
        if record.report is not None:
            stem = stem_of(record, database)
            refuse_changed(stem, file, folder)
            if not is_rebuilt(stem, file, folder, wiring):
                says(_ended(record, nightly))
                past = read_past(wiring.store, nightly.name, record.id)
                return with_charts(from_document(record.report), past)
            # A verdict of this morning is none on what was built since.
            says(f"the build has changed since night {record.id} ended: another night begins")
            record = begin(nightly, wiring.store, again=True)
        past, stem = read_past(wiring.store, nightly.name, record.id), stem_of(record, database)
        fixed = fix(stem, file, folder, wiring)
        runner = Runner(record, wiring, shows, request.waits, says)
        planned, values = PlannedCells(wiring.store, {}), RunValues(wiring.store)
        night = Night(record, nightly, devices, fixed, folder, runner, wiring, past, planned, values)
        report = judge(night)
        report = replace(report, notes=(*notes, *disturbances(report, wiring.store.conditions)))
        assert report.exit_code is not None
        remember(record, stem, folder)
        wiring.store.nights.end_night(record.id, report.exit_code, to_document(report))
        return with_charts(report, past)


def _ended(record: NightRecord, nightly: Nightly) -> str:
    unmade = ", the candidate's command is not run" if nightly.candidate.command else ""
    return f"night {record.id} has ended already{unmade}, and nothing is measured: --again begins another one"


def usable(selected: Sequence[Device], store: Roles) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """Return the devices outside of quarantine, and a note on each other device. Devices in quarantine fail no night.

    Raise OrchestratorError if every device is in quarantine.
    """
    barred = store.recovery.quarantines([device.name for device in selected])
    devices = tuple(device for device in selected if device.name not in barred)
    notes = tuple(f"{name} is in quarantine since {one.since:%Y-%m-%d}: {one.reason}" for name, one in barred.items())
    if not devices:
        raise OrchestratorError(
            f"every device is in quarantine: {'; '.join(notes)}", "benchfleet devices readmit DEVICE"
        )
    return devices, notes


def judge(night: Night) -> NightReport:
    """Measure a night, stage by stage, and return the report, with every regression on record."""
    store, nightly, record = night.wiring.store, night.nightly, night.record
    levels = tuple(store.baselines.levels(nightly.name))
    cache = night.wiring.cache()
    subjects = Subjects(nightly, record.began_at, night.past, levels, night.planned, night.values, cache)
    night.measure_canaries()
    night.look_first(subjects)
    findings = night.conclude()
    keeper = RegressionKeeper(store.regressions, nightly.name, record.id, night.wiring.identity().holder)
    return Reporter(night, subjects, keeper).report(findings)


def begin(nightly: Nightly, store: Roles, *, again: bool) -> NightRecord:
    """Return the night to go on with, or a new night."""
    now = datetime.now(UTC)
    newest = next(iter(store.nights.nights(nightly.name, limit=1)), None)
    if newest is not None and not again:
        if newest.ended_at is None and now - newest.began_at < GOES_ON:
            return newest
        if newest.ended_at is not None and newest.began_at.date() == now.date():
            return newest
    day = f"{nightly.name}-{now:%Y%m%d}"
    for number in range(1, 100):
        night = day if number == 1 else f"{day}-{number}"
        found = store.nights.find_night(night)
        # find_night also takes the beginning of an id, and the id of one night may begin another's.
        if found is None or found.id != night:
            return store.nights.begin_night(night, nightly.name)
    raise ConfigError(f"there are 99 nights {day} already", "wait for another day")


def with_charts(report: NightReport, past: Past) -> NightReport:
    """Return a report with the nights before in each cell."""
    cells = (replace(cell, history=past.points(Key(cell.cell.device, cell.slot, cell.metric))) for cell in report.cells)
    return replace(report, cells=tuple(cells))
