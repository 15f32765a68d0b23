"""What every database knows of the bytes and the environments behind the values of a cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.build import environment_difference, same_bytes
from orchestrator.domain.facts import Facts
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.run import DeviceRunState
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, save_snapshot
from tests.contract.planned_runs import LATENCIES, NANO, PI, Planned, plan_run, rows


def cells(store: Store) -> list[CellResult]:
    found = [cell for cell in store.results.cell_results("run", "latency_ns") if cell.cell.device == "pi-03"]
    assert found
    return found


def measure(store: Store, planned: Planned) -> None:
    log = planned.log().runner_started()
    for trial in planned.measures:
        log.started(trial).finished(trial, [LATENCIES])
    store.logs.ingest([log.run_finished(RunOutcome.COMPLETE).arrived()])


def test_a_cell_names_the_bytes_behind_its_values(store: Store, planned: Planned) -> None:
    assert [cell.builds for cell in cells(store)] == [()] * len(cells(store)), "nothing is measured"
    measure(store, planned)
    measured = {(row.model_sha256, row.runtime_sha256, row.worker_sha256) for row in rows(store, tables.measurement)}
    for cell in cells(store):
        (build,) = cell.builds
        assert (build.artifact_sha256, build.runtime_sha256, build.worker_sha256) in measured
        assert build.worker_sha256 == WORKER_SHA256
    first, second = {cell.builds for cell in cells(store)}
    assert not same_bytes(first, second), "two variants"


def test_the_build_of_a_program_is_unknown(store: Store) -> None:
    program = RuntimeSpec("exec/bench", RuntimeSource.EXEC, "bench", program=ExecProgram(("/opt/bench",)))
    measure(store, plan_run(store, runtimes=(program,)))
    assert all(cell.trial_values for cell in cells(store))
    assert [cell.builds for cell in cells(store)] == [()] * len(cells(store)), "nobody knows what the device has there"


def test_a_cell_has_the_environments_of_its_run(store: Store, planned: Planned) -> None:
    measure(store, planned)
    (first,) = cells(store)[0].environments
    assert first.hashes == (Facts(FACTS).identity_hash, Facts(FACTS).environment_hash)
    assert first.facts == FACTS
    now = datetime.now(UTC)
    save_snapshot(store, PI, Facts({**FACTS, "boot_id": "another"}), now)
    save_snapshot(store, NANO, Facts({**FACTS, "kernel": "5.10"}), now)
    assert cells(store)[0].environments == (first,), "the same environment, and another device"
    save_snapshot(store, PI, Facts({**FACTS, "kernel": "6.6.31"}), now)
    before, after = cells(store)[0].environments
    assert environment_difference((before,), (after,)) == ("kernel 6.6.20 -> 6.6.31",)
    store.runs.set_device_state("run", "nano-01", DeviceRunState.COMPLETE)
    save_snapshot(store, PI, Facts({**FACTS, "kernel": "7.0"}), datetime.now(UTC) + timedelta(seconds=1))
    assert cells(store)[0].environments == (before, after), "what came after the run's end is not its own"
