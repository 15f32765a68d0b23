"""Compare the cells of a run, named as people name runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.comparison import Comparison
from orchestrator.domain.errors import ConfigError, NothingToCompare
from orchestrator.domain.measurement import RUN
from orchestrator.domain.metric import COMPARED_METRICS, metric_named
from orchestrator.domain.nearest import all_known
from orchestrator.domain.run import RunRecord
from orchestrator.services.results.compare import CompareOptions, compare, compare_baseline, compare_runs
from orchestrator.services.results.foreseen import Foreseen
from orchestrator.services.results.metrics import Ask, compare_named, compare_usual
from orchestrator.services.results.picking import pick_cells
from orchestrator.services.results.settling import settling_commands
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import Roles

LAST_BEFORE = "last-before"


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Ask for a comparison. `run` is an id, a unique beginning or "last".

    `base` is a value of the coordinate `by`, and None for the common parent. `by` is None for variants, or for runs
    where `against` is given. `against` names a run as `run` does, or is a baseline, a date, or "last-before".
    `metrics` are names or aliases. An empty sequence takes the usual metrics of the runs, and None the metric of
    `options` alone. `cells` are rules for the cells to keep, and an empty sequence keeps all.
    """

    run: str
    base: str | None = None
    by: str | None = None
    options: CompareOptions = field(default_factory=CompareOptions)
    against: str | None = None
    metrics: Sequence[str] | None = None
    cells: Sequence[str] = ()


def compare_run(request: CompareRequest, wiring: HasRecords, record: RunRecord | None = None) -> Comparison:
    """Compare the cells of a run among themselves, or with another run. `record` is the request's run, if found before.

    Raise ConfigError for contradicting options, for an unknown run, and for a run compared with
    itself. Raise the errors of `compare` and `compare_runs`.
    """
    against = _against(request)
    record = record or require_run(wiring.store.runs, request.run)
    run, results = record.header.run, Foreseen(wiring.store.results, _metrics(request))
    if against is None:
        by = request.by or "variant"
        found = _compared(request, results, (run,), lambda options: compare(results, run, by, request.base, options))
        return replace(found, commands=settling_commands(found))
    # A baseline's name before a run's id: the first begins with a letter, the second with a digit.
    bad, levels = _bad_devices(record), wiring.store.baselines.levels(against)
    if levels:
        runs = list(dict.fromkeys(level.run for level in levels if level.superseded_at is None))
        return _compared(request, results, runs, lambda options: compare_baseline(results, run, levels, options, bad))
    other = other_run(record, against, wiring.store)
    return _compared(request, results, (other,), lambda options: compare_runs(results, run, other, options, bad))


def _metrics(request: CompareRequest) -> Sequence[str]:
    """Return the metrics that a request may ask for."""
    if request.metrics is None:
        names: Sequence[str] = (request.options.metric,)
    else:
        names = request.metrics or COMPARED_METRICS
    return list(dict.fromkeys(metric_named(name).name for name in names))


def _compared(request: CompareRequest, results: Foreseen, bases: Sequence[str], ask: Ask) -> Comparison:
    """Compare in the metrics of a request. The values of the runs `bases` decide between the usual metrics."""
    if request.metrics is None:
        found = ask(request.options)
    elif request.metrics:
        found = compare_named(ask, request.metrics, request.options)
    else:
        found = compare_usual(ask, results.valued_metrics(bases), request.options)
    return pick_cells(found, request.cells)


def _against(request: CompareRequest) -> str | None:
    """Return the name of the other run, or None for a comparison within one run."""
    if request.by not in (None, RUN):
        if request.against is not None:
            raise ConfigError(
                f"--against and --by {request.by} contradict each other",
                "--against compares the same cells of two runs; leave one of them out",
            )
        return None
    if request.against is not None and request.base is not None:
        raise ConfigError("--against and --base contradict each other", "the base is the run of --against")
    against = request.against or (request.base if request.by == RUN else None)
    if request.by == RUN and against is None:
        raise ConfigError(
            "compare --by run needs --against", "give a run, a baseline, a date such as 2026-11-28, or last-before"
        )
    return against


def other_run(record: RunRecord, against: str, store: Roles) -> str:
    """Return the id of the run that `against` means beside another run: an id, "last-before" or a date.

    Raise ConfigError if no run matches, or the run itself does.
    """
    run, sweep = record.header.run, record.header.sweep
    if against == LAST_BEFORE:
        found = store.results.earlier_run(sweep, run, record.header.started_at, None)
        if found is None:
            raise NothingToCompare(f"no run of sweep {sweep} with results began before {run} and has ended", _LIST)
        return found
    day_after = _end_of(against)
    if day_after is not None:
        found = store.results.earlier_run(sweep, run, None, day_after)
        if found is None:
            raise ConfigError(f"no other run of sweep {sweep} with results had ended by {against}", _LIST)
        return found
    found_run = store.runs.find_run(against)
    if found_run is None:
        if _DATED.match(against):
            raise ConfigError(f"{against!r} is no date, and no run", "a date is such as 2026-11-28")
        known = sorted({one.name for one in store.baselines.present_levels()})
        raise ConfigError(
            f"there is no run {against!r}, and no baseline of that name",
            f"{_LIST}; {all_known(known)}" if known else _LIST,
        )
    other = found_run.header.run
    if other == run:
        raise NothingToCompare(
            f"run {run} would be compared with itself", f"--against {LAST_BEFORE} takes the run before"
        )
    return other


_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_LIST = "benchfleet runs list shows the runs"


def _end_of(text: str) -> datetime | None:
    """Return the end of a day in UTC, or a moment as given. Return None for other text."""
    # Python reads 20261128 as a date too, which is how a run's id begins.
    if not _DATED.match(text):
        return None
    try:
        # The end of the day: a run of that day counts.
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _bad_devices(record: RunRecord) -> Mapping[str, str]:
    """Return the reasons of devices in a bad state, by name."""
    return {one.device: f"{one.device}: {one.error}" for one in record.devices if one.error}
