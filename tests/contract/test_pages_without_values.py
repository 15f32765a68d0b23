"""The page of a lab whose newest runs have no value: every link leads somewhere, and the page says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.store.schema import tables as t
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    CONDITIONS,
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.served_pages import HTML, served, text_of
from tests.databases import Databases

pytestmark = pytest.mark.system  # of FastAPI, whose import alone would cost each worker of the quick loop a second
PI, MODEL = sample_device("pi-03"), sample_model()
EVERY_PAGE = ("/", "/runs", "/compare", "/regressions", "/history", "/changes", "/models", "/sql")
BUSY = {"cpu_pressure_percent": 99.81065859782207, "temperature_c": None, "governor": None}
QUIET = {**BUSY, "cpu_pressure_percent": 96.59695139049717}
RUNTIME = {"kernels": None, "placement": {"padding_bytes": 2241, "renewed_bytes": 62_706_174}}
LATENCIES = Sampled("latency_ns", [*(41_000 + 7 * (place % 97) for place in range(300)), 90_000_000])


def began(store: Store, run: str, hours: int, variants: tuple[str, ...]) -> DevicePlan:
    """Put a run on record, planned for its only device."""
    sweep, at = sample_sweep(variants, trials=2), STARTED_AT + timedelta(hours=hours)
    store.runs.create_run(sample_header(run, sweep, MODEL, at), MODEL, [PI])
    plan = sample_plan(PI, sweep, MODEL)
    save_plan(store, run, plan, save_snapshot(store, PI, Facts(FACTS), at), WORKER_SHA256)
    return plan


def ended(store: Store, run: str, plan: DevicePlan, invalid: list[str]) -> None:
    """Put every measure trial of a run on record, and the end of the run."""
    log = EventLog(run, plan).runner_started()
    for trial in (one.key for one in plan.trials if one.kind is TrialKind.MEASURE):
        log.started(trial).finished(
            trial,
            [LATENCIES],
            invalid=invalid,
            conditions_before={**CONDITIONS, **BUSY},
            conditions={**CONDITIONS, **QUIET},
            runtime=RUNTIME,
        )
    store.logs.ingest([log.run_finished().arrived()])
    with store.database.write() as connection:
        at = STARTED_AT + timedelta(days=1)
        connection.execute(t.run.update().where(t.run.c.id == run).values(finished_at=at))


@pytest.fixture(scope="module")
def page(databases: Databases) -> Iterator[TestClient]:
    """Serve a lab with a run of two variants, one of one cell, one of invalid trials alone, and one unplanned."""
    url = databases.migrated()
    with open_store(url) as store:
        ended(store, "1-variants", began(store, "1-variants", 1, ("fp32", "int8")), [])
        ended(store, "2-cell", began(store, "2-cell", 2, ("fp32",)), [])
        ended(store, "3-busy", began(store, "3-busy", 3, ("fp32", "int8")), ["cpu-pressure"])
        header = sample_header("4-unplanned", sample_sweep(), MODEL, STARTED_AT + timedelta(hours=4))
        store.runs.create_run(header, MODEL, [PI])
    yield from served(url)


@pytest.fixture(scope="module")
def empty_page(databases: Databases) -> Iterator[TestClient]:
    yield from served(databases.migrated())


def actions(shown: str) -> list[str]:
    found = re.search(r'<p class="actions">(.*?)</p>', shown)
    return re.findall(r'href="([^"]+)"', found[1]) if found else []


def test_every_link_of_the_menu_and_of_every_run_leads_somewhere(page: TestClient) -> None:
    runs = [run["run"] for run in page.get("/api/v1/runs").json()]
    assert len(runs) == 4
    for address in (*EVERY_PAGE, *(f"/runs/{run}" for run in runs)):
        shown = text_of(page, address)
        for link in re.findall(r'href="(/[^"#]*)', shown):
            assert page.get(link, headers=HTML).status_code == 200, (address, link)


@pytest.mark.parametrize("address", EVERY_PAGE)
def test_an_empty_lab_has_no_error_in_its_menu(empty_page: TestClient, address: str) -> None:
    shown = text_of(empty_page, address)
    assert 'role="alert"' not in shown
    if address in ("/compare", "/changes"):
        assert "no run has a value yet" in shown
        assert "benchfleet run" in shown


def test_the_menu_begins_with_the_newest_run_that_has_values(page: TestClient) -> None:
    assert 'name="run" value="2-cell"' in text_of(page, "/compare")
    changes = text_of(page, "/changes")
    assert 'name="after" value="2-cell"' in changes
    assert "/runs/1-variants" in changes


def test_a_run_has_links_to_the_comparisons_that_its_values_allow(page: TestClient) -> None:
    assert actions(text_of(page, "/runs/1-variants")) == [
        "/compare?run=1-variants&by=variant",
        "/changes?before=1-variants&after=2-cell",
    ]
    assert actions(text_of(page, "/runs/2-cell")) == ["/compare?run=2-cell&against=1-variants"]
    assert actions(text_of(page, "/runs/3-busy")) == []


@pytest.mark.parametrize(
    ("address", "words", "links"),
    [
        ("/compare?run=2-cell", "has variant fp32", ["/compare?run=2-cell&against=1-variants"]),
        ("/compare?run=1-variants&by=device", "has device pi-03", ["/compare?run=1-variants&by=variant"]),
        ("/compare?run=1-variants&against=last-before", "no run of sweep", ["/compare?run=1-variants&by=variant"]),
        ("/compare?run=4-unplanned", "4-unplanned has no jobs", ["/runs/4-unplanned", "/compare?run=2-cell"]),
    ],
)
def test_with_nothing_to_compare_the_page_says_so_and_leads_on(
    page: TestClient, address: str, words: str, links: list[str]
) -> None:
    shown = text_of(page, address)
    assert words in shown
    assert 'role="alert"' not in shown
    assert set(links) <= set(actions(shown))


def test_nothing_to_compare_stays_an_error_for_programs(page: TestClient) -> None:
    answer = page.get("/api/v1/runs/1-variants/comparison?by=device")
    assert answer.status_code == 422
    assert answer.json()["error"] == "NothingToCompare"


def test_a_run_of_invalid_trials_alone_says_what_broke_and_what_to_do(page: TestClient) -> None:
    shown = text_of(page, "/runs/3-busy")
    row = shown[shown.index('data-device="pi-03"') : shown.index("</tbody>")]
    assert "0 of 4" in row
    assert "s-complete" not in row
    assert "4 cpu-pressure" in row
    conditions = shown[shown.index('id="conditions"') :]
    assert "pi-03: 4 attempts broke a condition and do not count (4 cpu-pressure)" in conditions
    assert "hint: pi-03 was busy with other work: end that, and measure again what is missing" in conditions
    assert "hint: this line in a sweep lets such trials count" in conditions
    assert "limits: {cpu_pressure_max_percent: null}" in conditions
    assert "s-complete" in text_of(page, "/runs/2-cell")


@pytest.fixture(scope="module")
def cell(page: TestClient) -> str:
    job = page.get("/api/v1/runs/2-cell/glance").json()["devices"][0]["job"]
    return f"/cells/{job}"


def test_readings_of_a_cell_have_units_and_the_unknown_is_left_out(page: TestClient, cell: str) -> None:
    shown = text_of(page, cell)
    assert "99.8 % → 96.6 %" in shown
    assert "padding_bytes: 2.24 kB, renewed_bytes: 62.7 MB" in shown
    assert "2026-03-01 08:30:00Z" in shown
    assert "3.00 GB" in shown
    for raw in ("None", "{'", "governor", "temperature_c", "kernels", "1772353800000000000", "99.81065859782207"):
        assert raw not in shown, raw


def test_one_far_sample_has_the_last_bin_of_a_histogram(page: TestClient, cell: str) -> None:
    found = json.loads(page.get(f"/api/v1{cell}/samples").text)
    counts = found["trials"][0]["counts"]
    assert sum(counts) == 301
    assert counts[-1] == 1
    assert sum(count > 0 for count in counts) > 5
    assert found["edges"][-1] == 90_000_000
