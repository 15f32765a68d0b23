"""Use cases as a page or a daemon would call them: no command, no Typer, the local device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.bootstrap import Wiring
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.domain.run import RunState
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.devices.listing import list_devices
from orchestrator.services.devices.probe import probe
from orchestrator.services.results.request import CompareRequest, compare_run
from orchestrator.services.runs.pick_up import PickUpRequest, cancel, cancel_exit_code, follow, resume
from orchestrator.services.runs.plan import PlanRequest, plan
from orchestrator.services.runs.show import show
from orchestrator.services.runs.start import StartRequest, start
from orchestrator.settings import Settings, load_settings
from tests.lab import REPOSITORY, Lab

if TYPE_CHECKING:
    from orchestrator.services.base import Shows

UNTOUCHED = """\
import gc, logging, os, signal, sys
state = lambda: (gc.get_freeze_count(), signal.getsignal(signal.SIGTERM), os.umask(os.umask(0)), sys.stdout.errors)
os.umask(0o027)
before = state()
import tests.integration.test_use_cases as use_cases
from pathlib import Path
use_cases.run_everything(Path(sys.argv[1]))
import structlog
assert state() == before, (before, state())
assert not structlog.is_configured()
assert "typer" not in sys.modules, "a use case needs no command line"
print("untouched")
"""
READING_ONLY = """\
import sys
from pathlib import Path
from orchestrator.bootstrap import Wiring
from orchestrator.services.results.request import CompareRequest, compare_run
from orchestrator.services.runs.show import show
from orchestrator.settings import load_settings
with Wiring(load_settings({"db": sys.argv[1]})) as wiring:
    show("last", wiring.store)
    compare_run(CompareRequest("last", "1", "threads"), wiring)
"""


def settings_of(lab: Lab) -> Settings:
    flags = {"db": str(lab.database), "inventory": [str(lab.directory / "inventory")], "log_level": "debug"}
    return load_settings(flags, lab.environment, folder=lab.directory)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("here")
    return made


def shows(_run: str) -> SilentDisplay:
    return SilentDisplay()


def journaling(wiring: Wiring) -> Shows:
    """Return what shows a run as a command does at log level debug."""
    return lambda run: wiring.journaled(run, SilentDisplay())


def run_everything(folder: Path) -> None:
    """Probe, plan, run, read, compare and pick up again, on the local device."""
    lab = Lab(folder)
    lab.add_local("here")
    sweep = lab.write_exec_sweep(matrix={"threads": [1, 2]}, trials=2)
    with Wiring(settings_of(lab)) as wiring:
        assert set(probe("all", wiring).answers) == {"here"}
        planned = plan(PlanRequest(sweep), wiring)
        assert [len(one.jobs) for one in planned.planning.plans] == [2]
        outcome = start(StartRequest(sweep), wiring, journaling(wiring))
        assert outcome.exit_code is ExitCode.FINE
        run = outcome.record.header.run
        assert show("last", wiring.store).record.header.run == run
        comparison = compare_run(CompareRequest(run, "1", "threads"), wiring)
        assert [row.verdict for row in comparison.rows] == [Verdict.EQUIVALENT]
        assert resume(PickUpRequest("last"), wiring, shows).record.state is RunState.COMPLETE
        assert [one.name for one in list_devices("all", wiring, lambda *_: None).devices] == ["here"]


def test_every_use_case_is_called_without_a_command(tmp_path: Path) -> None:
    run_everything(tmp_path)


def test_use_cases_leave_the_process_as_they_found_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNTOUCHED, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "untouched\n"), done.stderr


def test_a_detached_run_is_followed_by_another_wiring(lab: Lab) -> None:
    sweep = lab.write_exec_sweep()
    with Wiring(settings_of(lab)) as wiring:
        request = StartRequest(sweep, detach=True)
        outcome = start(request, wiring, shows)
        assert request.exit_code(outcome) is ExitCode.FINE
    with Wiring(settings_of(lab)) as wiring:
        ended = follow(PickUpRequest(outcome.record.header.run), wiring, shows)
        assert (ended.record.state, ended.exit_code) == (RunState.COMPLETE, ExitCode.FINE)
        assert cancel_exit_code(cancel(PickUpRequest("last"), wiring, shows)) is ExitCode.FINE


def test_a_request_that_is_wrong_records_nothing(lab: Lab) -> None:
    with Wiring(settings_of(lab)) as wiring:
        with pytest.raises(ConfigError, match="no such file"):
            start(StartRequest(lab.directory / "nowhere.yaml"), wiring, shows)
        assert wiring.store.runs.find_run("last") is None


def test_the_database_is_opened_once_and_closed_at_the_end(lab: Lab) -> None:
    with Wiring(settings_of(lab)) as wiring:
        assert wiring.store_if_there() is None
        assert not lab.database.exists()
        assert wiring.store is wiring.store
        assert wiring.store_if_there() is wiring.store


def test_reading_a_run_imports_no_driver(lab: Lab) -> None:
    runtimes = lab.write_exec_sweep(matrix={"threads": [1, 2]}, trials=2)
    with Wiring(settings_of(lab)) as wiring:
        assert start(StartRequest(runtimes), wiring, shows).exit_code is ExitCode.FINE
    listing = READING_ONLY + "print(*sorted(sys.modules))\n"
    done = subprocess.run(
        [sys.executable, "-c", listing, str(lab.database)],
        cwd=REPOSITORY,
        env=lab.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = done.stdout.split()
    assert "orchestrator.services.results.compare" in imported
    unneeded = ("orchestrator.driving", "orchestrator.execution", "orchestrator.session", "orchestrator.transport")
    assert [name for name in imported if name.startswith(unneeded)] == []
