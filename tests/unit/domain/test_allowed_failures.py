"""Which failed cells leave a run clean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.run import DeviceRunState, MissingTrial, TrialState
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.sweep import Setting
from tests.unit.reporting import samples

LABEL = "int8 · tflite-runtime==2.14.0 · threads=4"


@pytest.mark.parametrize(
    ("state", "rule", "code"),
    [
        (TrialState.SKIPPED, None, ExitCode.INCOMPLETE),
        (TrialState.FAILED, None, ExitCode.INCOMPLETE),
        (TrialState.SKIPPED, {"variant": "int8"}, ExitCode.FINE),
        (TrialState.FAILED, {"device": "pi-*", "threads": 4}, ExitCode.FINE),
        (TrialState.FAILED, {"variant": "fp32"}, ExitCode.INCOMPLETE),
        (TrialState.FAILED, {"threads": 1}, ExitCode.INCOMPLETE),
        # Allowed to fail, and not to be left unmeasured.
        (TrialState.PLANNED, {"variant": "int8"}, ExitCode.INCOMPLETE),
        (TrialState.INVALID, {"variant": "int8"}, ExitCode.INCOMPLETE),
    ],
)
def test_a_cell_without_a_value_is_no_clean_run_unless_the_sweep_names_it(
    state: TrialState, rule: dict[str, Setting] | None, code: ExitCode
) -> None:
    devices = tuple(replace(one, state=DeviceRunState.COMPLETE) for one in samples.RUN.devices)
    missing = (MissingTrial("pi-03", LABEL, "t1", state, "why"),)
    details = RunDetails(
        replace(samples.RUN, devices=devices), missing, samples.RESULTS, allowed=(rule,) if rule else ()
    )
    assert details.exit_code is code
