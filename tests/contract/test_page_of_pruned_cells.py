"""The page of a cell whose raw samples are gone says so, and shows no figure in their place."""

from __future__ import annotations

from starlette.testclient import TestClient

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    power_account,
    power_trace,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.served_pages import served
from tests.databases import Databases


def test_a_cell_without_its_samples_says_who_pruned_them(databases: Databases) -> None:
    url = databases.migrated()
    pi, model, sweep = sample_device("pi-03"), sample_model(), sample_sweep(("fp32",), trials=1)
    with open_store(url) as store:
        store.runs.create_run(sample_header("run", sweep, model), model, [pi])
        plan = sample_plan(pi, sweep, model)
        save_plan(store, "run", plan, save_snapshot(store, pi, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        log = EventLog("run", plan)
        for trial in plan.trials:
            if trial.kind is TrialKind.PREFLIGHT:
                log.finished(trial.key, [])
            else:
                account = power_account(trace=power_trace([4_000_000, 4_100_000]))
                log.finished(trial.key, [Sampled("latency_ns", range(1000, 1400))], power=account)
        store.logs.ingest([log.run_finished().arrived()])
        (job,) = (one.job for one in store.cells.jobs_of("run"))
    for page in served(url):
        assert _pruned(page, job) == ""
        with open_store(url) as store:
            store.retention.prune("run", "ann@<ws1>")
    for page in served(url):
        assert "power readings were pruned on " in _pruned(page, job)
        assert "by ann@&lt;ws1&gt;; summaries stay" in _pruned(page, job)
        shown = page.get(f"/cells/{job}", headers={"accept": "text/html"}).text
        assert 'id="power"' not in shown
        assert "chart-histogram" not in shown
        samples = page.get(f"/api/v1/cells/{job}/samples?metric=latency_ns").json()
        assert samples["trials"] == samples["edges"] == []
        assert samples["pruned"].endswith("by ann@<ws1>; summaries stay")


def _pruned(page: TestClient, job: int) -> str:
    """Return what the page says where samples are missing; empty where there are samples."""
    shown = page.get(f"/cells/{job}", headers={"accept": "text/html"}).text
    begin = shown.find('<p class="empty">No counted trial')
    return "" if begin < 0 else shown[begin : shown.index("</p>", begin)]
