"""A served model is measured like any other: a real MLServer, started on the device by each trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.system.asking import ask

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("local")
    return made


def test_mlserver_answers_what_the_file_answers_and_queries_count_from_their_arrival(lab: Lab) -> None:
    runtimes = "endpoint/plain,endpoint/dynamic,ai-edge-litert==2.3.0"
    asked = ("measure.scenario=server", "measure.streams=null", "measure.rate_per_s=20", "measure.seconds_min=1")
    options = [word for one in (*asked, "matrix.batch=[1]", "measure.runs_min=10") for word in ("--set", one)]
    ask(lab, "What does batching gain for a served model?", "--trials", "1", "--runtimes", runtimes, *options)
    compared = lab.json("compare", "last", "--by", "runtime", "--base", "ai-edge-litert==2.3.0")
    (rows,) = (group["rows"] for group in compared["groups"])
    assert [row["outputs"]["agreement"] for row in rows] == ["agree", "agree"]
    metrics = {
        one["metric"]: one["value"]
        for one in lab.rows("select metric, value from v_latest where runtime = 'endpoint/dynamic'")
    }
    # Each query has waited for its own request at least, and there is no more to serve than arrives.
    assert metrics["query_latency_ns"] >= 0.99 * metrics["latency_ns"]
    assert metrics["throughput_items_per_s"] > 0
    absent = lab.rows("select distinct metric, reason from absent_metric where metric = 'rss_bytes_max'")
    assert [one["reason"] for one in absent] == ["the model is in the server's process"]
    (told,) = lab.rows("select distinct runtime_reported from attempt where runtime_reported like '%kserve-v2%'")
    assert '"mlserver"' in told["runtime_reported"]


def test_triton_gathers_requests_and_answers_from_its_cache(lab: Lab) -> None:
    """What Triton itself counts tells its modes apart, however fast this machine is."""
    names = ["endpoint/triton", "endpoint/triton-dynamic", "endpoint/triton-cache"]
    rules = ("matrix.batch=[1]", "measure.seconds_min=0.3", "measure.runs_min=20", "measure.warmup.seconds_min=0")
    options = [word for rule in rules for word in ("--set", rule)]
    sweep = str(REPOSITORY / "sweeps" / "batching.yaml")
    done = lab.run("run", sweep, "--trials", "1", "--runtimes", ",".join(names), *options, timeout_s=500)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    asked = "select runtime, metric, value from v_latest where metric like 'server_%'"
    found = {(one["runtime"], one["metric"]): one["value"] for one in lab.rows(asked)}
    assert found["endpoint/triton", "server_batch_items"] == 1
    assert found["endpoint/triton-dynamic", "server_batch_items"] > 1.5
    assert found["endpoint/triton-dynamic", "server_queue_ns"] > 0
    assert found["endpoint/triton", "server_compute_ns"] > 0
    assert found["endpoint/triton-cache", "server_cache_hit_ratio"] > 0.9
    compared = lab.json("compare", "last", "--by", "runtime", "--base", "endpoint/triton")
    (group,) = compared["groups"]
    assert {row["outputs"]["agreement"] for row in group["rows"]} == {"agree"}
    absent = lab.rows("select distinct reason from absent_metric where metric = 'server_cache_hit_ratio'")
    assert [one["reason"] for one in absent] == ["the server has no cache for the model"]


def test_a_server_that_does_not_start_fails_its_cell_with_its_own_words(lab: Lab) -> None:
    serve = {"command": ["sh", "-c", "echo no such model >&2; exit 3"], "ready_s_max": 30}
    endpoint = {"protocol": "kserve-v2", "model": "m", "serve": serve}
    lab.write_exec_sweep(runtimes=[{"endpoint": endpoint}])
    done = lab.run("run", "sweep.yaml", "--trials", "1", timeout_s=300)
    assert done.returncode == ExitCode.INCOMPLETE, done.stdout + done.stderr
    failed = lab.rows("select failure_kind, failure_message from attempt")
    words = "the server ended with exit code 3 before it was ready: no such model"
    assert [(one["failure_kind"], one["failure_message"]) for one in failed] == [("load-error", words)]
