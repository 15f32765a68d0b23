"""A served model in a plan: what the device gets of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.document import planned_jobs
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.runtime import Endpoint, ExecProgram, HttpTemplate, RuntimeSource, RuntimeSpec
from tests.unit.domain.planning import SWEEP, inputs

ADDRESS = Endpoint("kserve-v2", "m", "http://lab:8000", "3")
TEMPLATE = HttpTemplate("POST", "/predict", "/health", '{"x": ${input}}', (("a", ""), ("b", "/b")))
ASKED = Endpoint("http", "m", "http://lab:8000", template=TEMPLATE)
SIGNED = Endpoint("tf-serving-grpc", "m", "http://lab:8500", signature="classify")
STARTED = Endpoint("kserve-v2", "m", ready_s_max=9)


def planned(endpoint: Endpoint, command: tuple[str, ...] = ()) -> tuple[object, ...]:
    program = ExecProgram(command)
    runtime = RuntimeSpec("endpoint/e", RuntimeSource.ENDPOINT, "e", program=program, endpoint=endpoint)
    plan = plan_device(inputs(replace(SWEEP, runtimes=(runtime,), variants=SWEEP.variants[:1], matrix={})))
    (job,) = planned_jobs(plan.document)
    assert {trial.kind for trial in plan.trials} == {TrialKind.PREFLIGHT, TrialKind.MEASURE}
    return job.engine, job.command, job.endpoint, job.module


def test_a_server_is_asked_at_its_address_by_the_engine_of_its_protocol() -> None:
    assert planned(ADDRESS) == ("kserve-v2", None, ADDRESS, None)


@pytest.mark.parametrize("endpoint", [ASKED, SIGNED], ids=["template", "signature"])
def test_all_that_a_protocol_takes_reaches_the_device(endpoint: Endpoint) -> None:
    assert planned(endpoint) == (endpoint.protocol, None, endpoint, None)


def test_a_server_that_trials_start_has_a_command_and_no_address() -> None:
    assert planned(STARTED, ("sh", "serve.sh")) == ("kserve-v2", ("sh", "serve.sh"), STARTED, None)
