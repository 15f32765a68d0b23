"""What every database keeps of metrics that an attempt could not measure."""

from __future__ import annotations

from orchestrator.domain.cell_figures import cell_figures
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import absent, number
from tests.contract.planned_runs import LATENCIES, Planned, rows

NO_RESET = "the kernel does not let the process reset its peak memory"


def test_an_absent_metric_is_a_row_with_its_reason_and_no_measurement(store: Store, planned: Planned) -> None:
    trial = planned.measures[0]
    store.logs.ingest([planned.log().finished(trial, [LATENCIES, absent("rss_bytes_max", NO_RESET)]).arrived()])
    (kept,) = rows(store, tables.absent_metric)
    assert (kept.metric, kept.reason) == ("rss_bytes_max", NO_RESET)
    assert [row.metric for row in rows(store, tables.measurement)] == ["latency_ns"]
    assert "rss_bytes_max" not in store.results.measured_metrics("run")


def test_an_older_worker_gives_no_reason(store: Store, planned: Planned) -> None:
    """Its null was nothing, and stays nothing."""
    trial = planned.measures[0]
    store.logs.ingest([planned.log().finished(trial, [LATENCIES, {"name": "load_ns", "value": None}]).arrived()])
    assert rows(store, tables.absent_metric) == []


def test_a_hostile_reason_is_cleaned_and_cut(store: Store, planned: Planned) -> None:
    trial = planned.measures[0]
    said = absent("load_ns", "no\x1b[2J\u202e" + "y" * 5_000)
    store.logs.ingest([planned.log().finished(trial, [said, LATENCIES]).arrived()])
    (kept,) = rows(store, tables.absent_metric)
    assert len(kept.reason) <= 500
    assert kept.reason.isprintable()


def test_a_comparison_and_a_cell_are_told_why(store: Store, planned: Planned) -> None:
    trial = planned.measures[0]
    log = planned.log().finished(trial, [LATENCIES, number("load_ns", 5.0), absent("rss_bytes_max", NO_RESET)])
    store.logs.ingest([log.arrived()])
    found = [one for one in store.results.cell_results("run", "rss_bytes_max") if one.without_metric]
    assert [one.unmeasured for one in found] == [(NO_RESET,)]
    details = next(one for job in store.cells.jobs_of("run") if (one := store.cells.cell(job.job)) and one.attempts)
    assert details.attempts[0].absent == {"rss_bytes_max": NO_RESET}
    told = {one.metric.name: (one.value, one.trials, one.reason) for one in cell_figures(details.attempts)}
    assert told["load_ns"] == (5.0, 1, None)
    assert told["rss_bytes_max"] == (None, 0, NO_RESET)
