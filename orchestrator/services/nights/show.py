"""Read nights back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.domain.errors import ConfigError, IncompleteError
from orchestrator.domain.night import NightReport, NightState, NightSummary
from orchestrator.domain.night_document import from_document
from orchestrator.domain.night_record import NightRecord
from orchestrator.services.nights.history import read_past
from orchestrator.services.nights.run import GOES_ON, with_charts
from orchestrator.store.base import Roles


def list_nights(store: Roles, nightly: str | None, limit: int) -> Sequence[NightSummary]:
    """Return nights of a nightly or of all, the newest first."""
    return [_summary(record) for record in store.nights.nights(nightly, limit=limit)]


def _summary(record: NightRecord) -> NightSummary:
    report = None if record.report is None else from_document(record.report)
    cut_off = report is None and datetime.now(UTC) - record.began_at >= GOES_ON
    return NightSummary(
        night=record.id,
        nightly=record.nightly,
        state=report.state if report else NightState.CUT_OFF if cut_off else NightState.UNDER_WAY,
        began_at=record.began_at,
        ended_at=record.ended_at,
        exit_code=record.exit_code,
        devices=len(report.devices) if report else 0,
        cells=len(report.cells) if report else 0,
        failing=sum(cell.fails for cell in report.cells) if report else 0,
        runs=len(record.runs),
    )


def show_night(store: Roles, night: str) -> NightReport:
    """Return the report of a night, by id, unique beginning or "last".

    Raise ConfigError for an unknown night, and IncompleteError for a night under way.
    """
    record = store.nights.find_night(night)
    if record is None:
        words = "there is no night yet" if night == "last" else f"there is no night {night!r}"
        raise ConfigError(words, "benchfleet nightly list shows what there is; is it the right --db?")
    if record.report is None:
        runs = ", ".join(run.run for run in record.runs) or "none yet"
        raise IncompleteError(
            f"night {record.id} has not ended; its runs: {runs}",
            "benchfleet nightly run FILE goes on with it; benchfleet runs show RUN has what is measured",
        )
    report = from_document(record.report)
    return with_charts(report, read_past(store, report.nightly, report.night, before=report.began_at))
