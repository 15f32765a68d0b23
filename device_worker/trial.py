"""Be one trial process: load a model, then prove that it works (preflight) or time it (measure)."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from time import perf_counter_ns

from device_worker import peak_memory
from device_worker.measurement import Rule, choose_batch, median, time_calls
from device_worker.protocol.samples import encode_block
from device_worker.protocol.vocabulary import Failure, TrialKind
from device_worker.runtimes import ENGINES
from device_worker.runtimes.base import LoadFailure
from device_worker.trial_inputs import open_inputs
from device_worker.trial_proof import OUTPUTS_MAX, Proof

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.runtimes.base import Runtime, Session
    from device_worker.trial_inputs import DatasetInputs, RandomInputs

    Say = Callable[..., None]

_COPY_RULE = Rule(runs_min=30, seconds_min=0.0, runs_max=30, seconds_max=1.0)


def run_trial() -> int:
    """Execute the specification on standard input; standard output carries the trial interface and nothing else."""
    say = _take_over_stdout()
    trial = Trial(json.loads(sys.stdin.read()), say)
    try:
        trial.execute()
        say(done=True)
    except LoadFailure as error:
        say(failure={"kind": Failure.LOAD, "message": str(error)})
    except MemoryError as error:
        say(failure={"kind": Failure.OUT_OF_MEMORY, "message": f"out of memory: {error}"})
    except Exception as error:  # noqa: BLE001 the border of the attempt: whatever a runtime raises costs this attempt
        traceback.print_exc()
        kind = Failure.INFERENCE if trial.is_loaded else Failure.LOAD
        say(failure={"kind": kind, "message": f"{type(error).__name__}: {error}"})
    sys.stderr.flush()
    os._exit(0)  # the result is out: what a runtime does wrong while it is torn down is not measured


def _take_over_stdout() -> Say:
    """Move standard output out of the reach of libraries, whose prints then go to standard error."""
    fd = os.dup(1)
    os.dup2(2, 1)

    def say(**line: Any) -> None:
        data = memoryview(json.dumps(line, allow_nan=False).encode("ascii") + b"\n")
        while data:
            data = data[os.write(fd, data) :]

    return say


class Trial:
    """One trial; `is_loaded` tells a model that cannot be loaded from one that cannot be run."""

    def __init__(self, specification: dict[str, Any], say: Say) -> None:
        self._specification = specification
        self._job = specification["job"]
        self._say = say
        self.is_loaded = False
        self._peak_bytes: int | None = None  # read before samples are sorted and packed: that memory is ours

    def execute(self) -> None:
        """Load the model, run it as the kind of the trial wants, and say what came of it."""
        sys.path[:0] = self._job["python_path"]
        is_preflight = self._specification["kind"] == TrialKind.PREFLIGHT
        runtime = _open_runtime(self._job)
        inputs = open_inputs(self._specification, None if is_preflight else 1)
        peak_memory.reset_peak()
        session, encoded = self._load(runtime, inputs)
        if is_preflight:
            self._prove(session, inputs)
        else:
            self._measure(session, encoded)
        self._say(runtime=session.identity())
        if self._peak_bytes is not None:
            self._say(metric="rss_bytes_max", value=self._peak_bytes)

    def _load(self, runtime: Runtime, inputs: DatasetInputs | RandomInputs) -> tuple[Session, list[Any]]:
        """Load the model and run it for the first time: the cold start, without the import of the runtime."""
        gc.collect()
        begin = perf_counter_ns()
        session = runtime.load()
        loaded = perf_counter_ns()
        encoded = session.encode_inputs(inputs.draw(0, session.inputs))
        session.set_inputs(encoded)
        self.is_loaded = True
        before = perf_counter_ns()
        session.invoke()
        after = perf_counter_ns()
        self._say(metric="load_ns", value=loaded - begin)
        self._say(metric="first_inference_ns", value=after - before)
        return session, encoded

    def _measure(self, session: Session, encoded: list[Any]) -> None:
        measure = self._specification["measure"]
        gc.collect()
        gc.freeze()
        gc.disable()
        warmup = time_calls(session.invoke, Rule.of_warmup(measure))
        batch = choose_batch(session.invoke, warmup)
        timing = time_calls(session.invoke, Rule.of_measurement(measure), batch)
        gets = time_calls(session.get_outputs, _COPY_RULE)
        sets = time_calls(lambda: session.set_inputs(encoded), _COPY_RULE)
        self._peak_bytes = peak_memory.read_peak_bytes()
        gc.enable()
        self._say(metric="latency_ns", packed=encode_block(timing.samples), batch=timing.batch)
        self._say(window={"begin_mono_ns": timing.begin_ns, "end_mono_ns": timing.end_ns})
        self._say(metric="warmup_runs", value=len(warmup.samples))
        self._say(metric="set_input_ns", value=median(sets.samples))
        self._say(metric="get_output_ns", value=median(gets.samples))
        self._say(metric="involuntary_switches", value=timing.involuntary_switches)
        if timing.steady_ratio is not None:
            self._say(metric="steady_ratio", value=timing.steady_ratio)

    def _prove(self, session: Session, inputs: DatasetInputs | RandomInputs) -> None:
        """Run the inputs one by one: keep the first outputs, and score all of them where there are labels."""
        metric = self._job.get("accuracy_metric")
        if metric not in (None, "top1"):
            raise LoadFailure(f"this worker does not know the accuracy metric {metric!r}")
        if metric is not None and inputs.labels is None:
            raise LoadFailure(f"{metric} needs a dataset with labels, an array y")
        proof = Proof()
        for index in range(len(inputs) if metric else min(len(inputs), OUTPUTS_MAX)):
            session.set_inputs(session.encode_inputs(inputs.draw(index, session.inputs)))
            session.invoke()
            proof.add(session.decode_outputs(session.get_outputs()))
        self._peak_bytes = peak_memory.read_peak_bytes()
        if metric is not None:
            self._say(metric="accuracy_top1", value=proof.top1_accuracy(inputs.labels))
        if proof.count:
            self._say(outputs=dict(proof.to_outputs(), inputs=inputs.source))


def _open_runtime(job: dict[str, Any]) -> Runtime:
    module, _, name = ENGINES[job["engine"]].partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)(job)
    return runtime
