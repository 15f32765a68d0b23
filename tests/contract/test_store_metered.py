"""The figures of a meter that the controller read, beside what a device said of its trials."""

from __future__ import annotations

from typing import Any

import pytest

from device_worker.protocol.samples import unpack_samples
from orchestrator.domain.facts import Facts
from orchestrator.domain.joined_power import JoinedPower, MeteredAttempt
from orchestrator.domain.meter import ClockOffset
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    number,
    power_account,
    power_figure,
    power_trace,
    save_snapshot,
)
from tests.contract.planned_runs import LATENCIES, PI, Planned, rows

WINDOW = {"begin_mono_ns": 5_000_000_000, "end_mono_ns": 6_100_000_000}
IDLE = {"before": [1_000_000_000, 4_000_000_000], "after": None}
SOURCE = "shelly plug-3"


def measured(store: Store, planned: Planned, *metrics: Any, **account: Any) -> MeteredAttempt:
    """Store a trial of a device that keeps idle times, and return what the store says of it."""
    said = power_account(None, reason="not joined yet", **{"idle_windows": IDLE, **account})
    log = planned.log().finished(planned.measures[0], [LATENCIES, *metrics], window=WINDOW, power=said)
    store.logs.ingest([log.arrived()])
    (attempt,) = store.metered.metered_attempts("run", "pi-03")
    return attempt


def joined(attempt: MeteredAttempt, energy_mj: float, source: str = SOURCE) -> JoinedPower:
    account = {"source": source, "kind": "power-gauge", "samples": 3, "idle_w": 4.0, "clock_offset_ns": 5}
    trace = power_trace([4_000_000, 4_100_000, 5_000_000])
    return JoinedPower(attempt.attempt, {"energy_mj": energy_mj, "power_mean_w": 5.0}, account, trace)


def values(store: Store) -> dict[str, tuple[float, str | None]]:
    return {row.metric: (row.value, row.source) for row in rows(store, tables.measurement)}


def test_a_trial_says_when_it_ran_and_when_nothing_did(store: Store, planned: Planned) -> None:
    attempt = measured(store, planned)
    assert attempt.window == (5_000_000_000, 6_100_000_000)
    assert (attempt.idle_before, attempt.idle_after) == ((1_000_000_000, 4_000_000_000), None)
    assert (attempt.inferences, attempt.source) == (300, None)
    assert attempt.invoked_ns == pytest.approx(300 * 41_300, rel=0.01)
    assert store.metered.metered_attempts("run", "nano-01") == []


def test_figures_accounts_and_readings_are_written(store: Store, planned: Planned) -> None:
    attempt = measured(store, planned)
    store.metered.join("run", "pi-03", [joined(attempt, -0.25)])
    assert values(store)["energy_mj"] == (-0.25, SOURCE)
    assert values(store)["latency_ns"][1] is None
    (account,) = rows(store, tables.power_account)
    assert (account.source, account.reason, account.samples, account.clock_offset_ns) == (SOURCE, None, 3, 5)
    assert account.idle_windows == IDLE, "the device's own words stay"
    (trace,) = rows(store, tables.power_trace)
    assert list(unpack_samples(trace.values_codec, trace.values_data, trace.values_crc32, 3))[2] == 5_000_000
    (cell,) = (row for row in rows(store, tables.cell_value) if row.metric == "energy_mj")
    assert (cell.value, cell.trials, cell.source) == (-0.25, 1, SOURCE)


def test_a_second_join_takes_the_place_of_the_first(store: Store, planned: Planned) -> None:
    attempt = measured(store, planned)
    store.metered.join("run", "pi-03", [joined(attempt, 3.0, "first")])
    assert store.metered.metered_attempts("run", "pi-03")[0].source == "first"
    store.metered.join("run", "pi-03", [joined(attempt, 4.0)])
    assert values(store)["energy_mj"] == (4.0, SOURCE)
    assert len(rows(store, tables.power_trace)) == 1
    nothing = JoinedPower(attempt.attempt, {}, {"source": SOURCE, "reason": "no reading"}, None)
    store.metered.join("run", "pi-03", [nothing])
    assert "energy_mj" not in values(store)
    assert rows(store, tables.power_account)[0].reason == "no reading"
    assert [row for row in rows(store, tables.cell_value) if row.metric == "energy_mj"] == []


def test_what_a_program_measures_of_itself_stands(store: Store, planned: Planned) -> None:
    attempt = measured(store, planned, number("energy_mj", 7.0))
    store.metered.join("run", "pi-03", [joined(attempt, 3.0)])
    assert values(store)["energy_mj"] == (7.0, None)
    assert values(store)["power_mean_w"] == (5.0, SOURCE)


def test_figures_of_the_devices_own_source_are_told(store: Store, planned: Planned) -> None:
    log = planned.log().finished(
        planned.measures[0], [LATENCIES, power_figure("energy_mj", 3.0)], window=WINDOW, power=power_account()
    )
    store.logs.ingest([log.arrived()])
    assert store.metered.metered_attempts("run", "pi-03")[0].source == "rapl"


def test_comparisons_of_clocks_are_read_from_the_facts_of_the_run(store: Store, planned: Planned) -> None:
    assert store.metered.clocks("run", "pi-03") == []
    clock = {"offset_ns": 10**18, "uncertainty_ns": 400_000, "asked_unix_ns": 2 * 10**18}
    for told in (clock, {"offset_ns": "soon"}, 5):
        save_snapshot(store, PI, Facts({**FACTS, "boot_id": "boot-1", "clock": told}), STARTED_AT)
    assert store.metered.clocks("run", "pi-03") == [ClockOffset(10**18, 400_000, 2 * 10**18, "boot-1")]


@pytest.mark.parametrize("idle", [{"before": [5], "after": None}, {"before": ["now", 5], "after": None}])
def test_idle_times_that_are_none_fail_the_attempt(store: Store, planned: Planned, idle: dict[str, Any]) -> None:
    said = power_account(None, idle_windows=idle)
    store.logs.ingest([planned.log().finished(planned.measures[0], [LATENCIES], power=said).arrived()])
    (attempt,) = rows(store, tables.attempt)
    assert (attempt.outcome, attempt.failure_kind) == ("failed", "garbage-output")
