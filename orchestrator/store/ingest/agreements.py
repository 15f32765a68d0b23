"""Compare the outputs of variants with those of their parents, as preflights are stored.

Whichever of the two comes last makes the figures, in the transaction of its records: a power cut loses none. The
figures belong to the preflight of the variant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, or_, select

from orchestrator.domain.measurement import Cell, CellOutputs
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.tolerance import Tolerance
from orchestrator.store.ingest.cell_values import CountedTrial
from orchestrator.store.ingest.events import MetricReport
from orchestrator.store.ingest.figures import Figure, write_figures
from orchestrator.store.records.unkept import outputs_of
from orchestrator.store.schema import tables as t
from orchestrator.store.values.sweep_text import tolerance_in

AnyRow = Row[*tuple[Any, ...]]
_REASON_MAX = 500
_NO_TOLERANCE = "the tolerance of agreement cannot be read in the recorded sweep"


def refresh_agreements(connection: Connection, counted: Collection[CountedTrial]) -> Sequence[CountedTrial]:
    """Write the agreement of the counted preflights' cells, and of the cells made from these, with their parents.

    Return what the figures add to the cells. The rows of the jobs' devices in the runs must be locked.
    """
    jobs = sorted({trial.job_id for trial in counted if trial.kind == TrialKind.PREFLIGHT.value})
    if not jobs:
        return ()
    pairs = connection.execute(_PAIRS, {"jobs": jobs}).all()
    needed = sorted({job for pair in pairs for job in (pair.id, pair.parent_job_id) if job is not None})
    kept = {row.job_id: row for row in connection.execute(_OUTPUTS, {"jobs": needed})} if needed else {}
    pairs = [pair for pair in pairs if pair.id in kept]
    # Each text once: the devices' rows are locked meanwhile.
    tolerances = {document: tolerance_in(document) for document in {pair.document for pair in pairs}}
    figures = [figure for pair in pairs for figure in _figures(pair, kept, tolerances[pair.document])]
    reports: dict[int, list[MetricReport]] = {}
    for one in write_figures(connection, figures):
        if one.value is not None:
            reports.setdefault(one.attempt, []).append(MetricReport(one.metric, one.value))
    kind = TrialKind.PREFLIGHT.value
    return [CountedTrial(pair.id, kind, tuple(reports.get(kept[pair.id].attempt_id, ()))) for pair in pairs]


def _figures(pair: AnyRow, kept: Mapping[int, AnyRow], tolerance: Tolerance | None) -> Iterator[Figure]:
    """Yield the metrics of a variant beside its parent, each with a value or the reason for none."""
    # numpy, for writers alone.
    from orchestrator.agreement.outputs import METRICS, agreement

    own, parent = kept[pair.id], kept.get(pair.parent_job_id)
    if tolerance is None:
        # Several outputs are matched by the tolerance, too: no figure is sure without it.
        yield from (Figure(own.attempt_id, metric.name, None, _NO_TOLERANCE) for metric in METRICS)
        return
    found = agreement(None if parent is None else _outputs(parent, pair.parent), _outputs(own, pair.variant), tolerance)
    reason = found.reason or _reason(pair, parent)
    for metric in METRICS:
        why = (found.absent.get(metric.name) or reason)[:_REASON_MAX]
        yield Figure(own.attempt_id, metric.name, found.figures.get(metric.name), why)


def _reason(pair: AnyRow, parent: AnyRow | None) -> str:
    if pair.parent_job_id is None:
        return f"the plan has no cell of the parent {pair.parent} on this runtime with these settings"
    return f"the preflight of the parent {pair.parent} has no outputs" if parent is None else "no value"


def _outputs(row: AnyRow, variant: str) -> CellOutputs:
    # The agreement asks for the variant's name alone.
    return outputs_of(Cell("", "", "", variant, "", {}), row)


_JOBS: BindParameter[Sequence[int]] = bindparam("jobs", expanding=True)
_of_devices = select(t.job.c.run_device_id).where(t.job.c.id.in_(_JOBS))
_PAIRS = (
    select(
        t.job.c.id,
        t.job.c.parent_job_id,
        t.model_variant.c.name.label("variant"),
        t.model_variant.c.parent,
        t.sweep.c.document,
    )
    .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .join(t.run, t.run.c.id == t.run_device.c.run_id)
    .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
    .where(
        t.job.c.run_device_id.in_(_of_devices),
        t.model_variant.c.parent.is_not(None),
        or_(
            t.job.c.id.in_(_JOBS),
            t.job.c.parent_job_id.in_(_JOBS),
        ),
    )
    .order_by(t.job.c.id)
)
_OUTPUTS = (
    select(t.trial.c.job_id, t.preflight_output)
    .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
    .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
    .where(t.trial.c.job_id.in_(_JOBS), t.trial.c.kind == TrialKind.PREFLIGHT.value)
)
