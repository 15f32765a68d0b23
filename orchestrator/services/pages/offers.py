"""Find the comparisons of a run that lead somewhere, for links and for a menu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.domain.errors import NothingToCompare
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.run import RunRecord
from orchestrator.domain.sweep import setting_text
from orchestrator.services.pages.base import PageReader


@dataclass(frozen=True, slots=True)
class Offers:
    """Hold the comparisons that a run's values allow.

    `by` names the coordinates with several values, variants first. `before` is the id of the run before, `newest` that
    of the newest other run with values, and `later` the same if that run began later. None: there is no such run.
    """

    by: tuple[str, ...]
    before: str | None
    newest: str | None
    later: str | None


def offers(record: RunRecord, results: Sequence[CellResult], reader: PageReader) -> Offers:
    """Return the comparisons of a run. `results` are all cells of the run in one metric."""
    header = record.header
    # A cell without a value is compared too, as one that does not run, but never with such cells alone.
    is_measured = any(result.trial_values for result in results)
    cells = [result.cell.coordinates for result in results] if is_measured else []
    names = dict.fromkeys(("variant", "device", "runtime", *(name for cell in cells for name in cell)))
    varied = (name for name in names if len({setting_text(cell.get(name)) for cell in cells}) > 1)
    before = reader.results.earlier_run(header.sweep, header.run, header.started_at, None) if is_measured else None
    newest = reader.runs.find_run(reader.results.newest_run_with_results() or "")
    if newest is None or newest.header.run == header.run:
        return Offers(tuple(varied), before, None, None)
    name, began = newest.header.run, newest.header.started_at
    return Offers(tuple(varied), before, name, name if began > header.started_at else None)


def offers_of(run: str, reader: PageReader) -> Offers | None:
    """Return the comparisons of a run by id, unique beginning or "last". Return None for an unknown run."""
    record = reader.runs.find_run(run)
    if record is None:
        return None
    return offers(record, reader.results.cell_results(record.header.run, HEADLINE_METRIC), reader)


def run_to_begin_with(reader: PageReader) -> str:
    """Return the id of the newest run with values. Raise NothingToCompare where no run has any."""
    newest = reader.results.newest_run_with_results()
    if newest is None:
        hint = "benchfleet run SWEEP.yaml measures; a run's page says what became of its trials"
        raise NothingToCompare("no run has a value yet", hint)
    return newest
