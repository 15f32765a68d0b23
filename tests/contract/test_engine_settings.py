"""Controller and worker agree on engines: which there are, what each imports, and which settings each of them knows."""

from __future__ import annotations

import importlib

import pytest

from device_worker.protocol.plan import EXEC_ENGINE
from device_worker.trial.runtimes import ENGINES as WORKERS_ENGINES
from device_worker.trial.runtimes.base import AUTO as WORKERS_AUTO
from device_worker.trial.runtimes.base import Runtime as WorkersRuntime
from device_worker.trial.runtimes.onnx_providers import BUILDS
from device_worker.trial.runtimes.onnx_providers import PRECISIONS as WORKERS_PRECISIONS
from orchestrator.domain.providers import PROVIDERS
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import AUTO, CALL, CALLS, ENGINES, PROTOCOLS, RUNTIMES, Engine, Runtime, engine_of


def runtime_class(engine: str) -> type[WorkersRuntime]:
    module, _, name = WORKERS_ENGINES[engine].place.partition(":")
    found: type[WorkersRuntime] = getattr(importlib.import_module(module), name)
    return found


def test_the_worker_has_every_engine_of_the_table_and_no_other() -> None:
    assert set(ENGINES) | set(PROTOCOLS) == set(WORKERS_ENGINES)
    assert {name for name, engine in WORKERS_ENGINES.items() if not engine.distributions} == set(PROTOCOLS)
    assert AUTO == WORKERS_AUTO


@pytest.mark.parametrize("engine", [*ENGINES.values(), *PROTOCOLS.values()], ids=[*ENGINES, *PROTOCOLS])
def test_what_a_sweep_may_set_is_what_the_worker_understands(engine: Engine) -> None:
    assert runtime_class(engine.name).engine == engine.name
    assert engine.settings is not None
    assert sorted(engine.settings) == sorted(runtime_class(engine.name).settings)


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
def test_the_worker_knows_the_module_of_every_runtime_and_its_distribution(runtime: Runtime) -> None:
    assert WORKERS_ENGINES[runtime.engine.name].distributions[runtime.module] == (runtime.build_of or runtime.name)
    assert runtime.build_of != "onnxruntime" or runtime.name in BUILDS
    if runtime.called is not None:
        assert WORKERS_ENGINES[runtime.called.name].distributions[runtime.called_module] == runtime.name


def test_the_worker_has_the_precisions_of_every_provider_of_the_table() -> None:
    assert {name: one.precisions for name, one in PROVIDERS.items() if one.precisions} == WORKERS_PRECISIONS


def test_every_call_has_an_engine_that_loads_its_formats() -> None:
    loaded = {form for engine in ENGINES.values() if CALL in (engine.settings or ()) for form in engine.formats or ()}
    assert {form for forms in CALLS.values() for form in forms} == loaded


def test_every_engine_loads_a_format_and_a_program_loads_any() -> None:
    assert all(engine.formats for engine in ENGINES.values())
    program = RuntimeSpec("exec/demo", RuntimeSource.EXEC, "demo", program=ExecProgram(("sh",)))
    assert engine_of(program) == Engine(EXEC_ENGINE, None, None)
