"""Read a run back: devices, headline results, and missing trials with reasons.

Reading must not import the driver, since the driver's imports are slow.
"""

from __future__ import annotations

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.remark import implausibly_fast
from orchestrator.domain.run import RunRecord
from orchestrator.domain.run_details import RunDetails
from orchestrator.specs.sweep import allowed_failures
from orchestrator.store.base import Roles, RunRecords


def show(run: str, store: Roles) -> RunDetails:
    """Return a run in full. `run` is an id, a unique beginning, or "last". Raise ConfigError for an unknown run."""
    return _details(store, require_run(store.runs, run))


def require_run(runs: RunRecords, run: str) -> RunRecord:
    """Return a run by id, name, unique beginning or "last". Raise ConfigError for an unknown run."""
    record = runs.find_run(run)
    if record is None:
        words = {"last": "there is no run that had a device and is not excluded", "": "a run has no empty name"}.get(
            run, f"there is no run {run!r}"
        )
        raise ConfigError(words, "benchfleet runs list --all shows what there is; is it the right --db?")
    return record


def details_of(store: Roles, run: str, taken_over: frozenset[str] = frozenset()) -> RunDetails:
    """Return a run in full. `run` is a whole run id. `taken_over` names the devices lost to another controller."""
    record = store.runs.find_run(run)
    assert record is not None
    return _details(store, record, taken_over)


def _details(store: Roles, record: RunRecord, taken_over: frozenset[str] = frozenset()) -> RunDetails:
    run = record.header.run
    results = tuple(store.results.cell_results(run, HEADLINE_METRIC))
    excluded = tuple(store.results.excluded_cells(run))
    recovery = tuple(store.recovery.recovery_events(run))
    power = tuple(store.power.power_uses(run))
    conditions = tuple(store.conditions.condition_uses(run))
    allowed = allowed_failures(record.header.sweep_document, record.header.sweep_source)
    missing = tuple(store.progress.missing_trials(run))
    effort = store.progress.effort(run)
    remarks = (*store.results.proof_remarks(run), *implausibly_fast(results, store.results.variant_parents(run)))
    return RunDetails(
        record,
        missing,
        results,
        excluded,
        recovery,
        power,
        taken_over,
        allowed,
        conditions,
        effort,
        remarks,
        tuple(store.progress.spared_cells(run)),
    )
