"""Run a trial: load a model, then prove that the model works (preflight) or time the model (measure)."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from time import perf_counter_ns

from device_worker.protocol.samples import encode_block
from device_worker.protocol.specification import Specification
from device_worker.protocol.vocabulary import FailureKind
from device_worker.trial.causes import describe, is_caused
from device_worker.trial.declared import check_inputs, describe_outputs, find_output
from device_worker.trial.inputs import open_inputs
from device_worker.trial.measurement import StopRule, choose_batch, median, read_peak_bytes, reset_peak, time_calls
from device_worker.trial.proof import OUTPUTS_MAX, Proof
from device_worker.trial.runtimes import ENGINES
from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.inputs import DatasetInputs, RandomInputs
    from device_worker.trial.runtimes.base import LoadedModel, Runtime

    Say = Callable[..., None]

_COPY_RULE = StopRule(runs_min=30, seconds_min=0.0, runs_max=30, seconds_max=1.0)


def run_trial() -> int:
    """Execute the specification on standard input, and write the lines of the trial interface to standard output.

    The process ends here with exit code 0, even after a failure, which is a line of the interface.
    """
    say = _take_over_stdout()
    trial = Trial(Specification.parse(sys.stdin.read()), say)
    try:
        trial.execute()
        say(done=True)
    except LoadFailure as error:
        if is_caused(error):  # whoever looks closer finds where a library's own loading failed
            traceback.print_exc()
        say(failure={"kind": FailureKind.LOAD, "message": str(error)})
    except MemoryError as error:
        say(failure={"kind": FailureKind.OUT_OF_MEMORY, "message": f"out of memory: {error}"})
    except Exception as error:  # noqa: BLE001 the border of the attempt: whatever a runtime raises costs this attempt
        traceback.print_exc()
        kind = FailureKind.INFERENCE if trial.is_loaded else FailureKind.LOAD
        say(failure={"kind": kind, "message": describe(error)})
    sys.stderr.flush()
    os._exit(0)  # the result is out: a runtime that crashes while being torn down must not spoil the result


def _take_over_stdout() -> Say:
    """Return the only way to write to standard output."""
    fd = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output, and their text would be garbage in the trial interface

    def say(**line: Any) -> None:
        data = memoryview(json.dumps(line, allow_nan=False).encode("ascii") + b"\n")
        while data:
            data = data[os.write(fd, data) :]

    return say


class Trial:
    """A trial. `is_loaded` is True once the model is loaded, and tells a load error from an inference error."""

    def __init__(self, specification: Specification, say: Say) -> None:
        self._specification = specification
        self._job = specification.job
        self._say = say
        self.is_loaded = False
        self._peak_bytes: int | None = None  # read before samples are sorted and packed, which takes memory too

    def execute(self) -> None:
        """Load the model, prove or time the model, and report the results through `say`."""
        sys.path[:0] = self._job.python_path
        runtime = _open_runtime(self._job)
        inputs = open_inputs(self._specification, None if self._specification.is_preflight else 1)
        reset_peak()  # a peak during the imports does not count
        session, encoded = self._load(runtime, inputs)
        if self._specification.is_preflight:
            self._prove(session, inputs)
        else:
            self._measure(session, encoded)
        self._say(runtime=session.identity())
        if self._peak_bytes is not None:
            self._say(metric="rss_bytes_max", value=self._peak_bytes)

    def _load(self, runtime: Runtime, inputs: DatasetInputs | RandomInputs) -> tuple[LoadedModel, list[Any]]:
        """Load the model, run the first inference and report both times: the cold start without imports."""
        gc.collect()
        begin = perf_counter_ns()
        session = runtime.load()
        loaded = perf_counter_ns()
        check_inputs(session.inputs, self._job.inputs)
        encoded = session.encode_inputs(inputs.draw(0, session.inputs))
        session.set_inputs(encoded)
        self.is_loaded = True
        before = perf_counter_ns()
        session.invoke()
        after = perf_counter_ns()
        self._say(metric="load_ns", value=loaded - begin)
        self._say(metric="first_inference_ns", value=after - before)
        return session, encoded

    def _measure(self, session: LoadedModel, encoded: list[Any]) -> None:
        measure = self._specification.measure
        gc.collect()
        gc.freeze()
        gc.disable()  # a garbage collection inside the loop would be measured as latency
        warmup = time_calls(session.invoke, StopRule.of_warmup(measure))
        batch = choose_batch(session.invoke, warmup)
        timing = time_calls(session.invoke, StopRule.of_measurement(measure), batch)
        gets = time_calls(session.get_outputs, _COPY_RULE)
        sets = time_calls(lambda: session.set_inputs(encoded), _COPY_RULE)
        self._peak_bytes = read_peak_bytes()
        gc.enable()
        self._say(metric="latency_ns", packed=encode_block(timing.samples), batch=timing.batch)
        self._say(window={"begin_mono_ns": timing.begin_ns, "end_mono_ns": timing.end_ns})
        self._say(metric="warmup_runs", value=len(warmup.samples))
        self._say(metric="set_input_ns", value=median(sets.samples))
        self._say(metric="get_output_ns", value=median(gets.samples))
        self._say(metric="involuntary_switches", value=timing.involuntary_switches)
        if timing.steady_ratio is not None:
            self._say(metric="steady_ratio", value=timing.steady_ratio)

    def _prove(self, session: LoadedModel, inputs: DatasetInputs | RandomInputs) -> None:
        """Run the inputs in order, keep the first outputs, and report the accuracy if the job asks for a metric.

        Raise LoadFailure for an unknown metric, or for a metric without labels.
        """
        metric = self._job.accuracy_metric
        if metric not in (None, "top1"):
            raise LoadFailure(f"this worker does not know the accuracy metric {metric!r}")
        if metric is not None and inputs.labels is None:
            raise LoadFailure(f"{metric} needs a dataset with labels, an array y")
        proof = Proof()
        for index in range(len(inputs) if metric else min(len(inputs), OUTPUTS_MAX)):
            session.set_inputs(session.encode_inputs(inputs.draw(index, session.inputs)))
            session.invoke()
            proof.add(self._judged_outputs(session))
        self._peak_bytes = read_peak_bytes()
        if metric is not None:
            self._say(metric="accuracy_top1", value=proof.top1_accuracy(inputs.labels))
            results = proof.to_input_results(inputs.labels)
            if results is not None:
                self._say(input_results=results)
        if proof.count:
            self._say(outputs=dict(proof.to_outputs(), inputs=inputs.source))

    def _judged_outputs(self, session: LoadedModel) -> list[Any]:
        """Return the declared or only output of an inference, or all outputs where the job asks for no accuracy.

        Raise LoadFailure if nothing tells which of several outputs the accuracy is about.
        """
        outputs = session.decode_outputs(session.get_outputs())
        place = find_output(self._job.output, session.output_names, outputs)
        if place is not None:
            return [outputs[place]]
        if self._job.accuracy_metric is not None:
            # Converters order outputs as they like: the first one may be another one in the next variant.
            found = describe_outputs(session.output_names, outputs)
            raise LoadFailure(
                f"{self._job.accuracy_metric} of which output? The file has {found}; "
                "declare it in model.yaml, such as output: {shape: [1, 10]}"
            )
        # By shape, so that two variants with their outputs in another order are compared output by output.
        return sorted(outputs, key=lambda output: (output.ndim, output.shape))


def _open_runtime(job: TrialJob) -> Runtime:
    module, _, name = ENGINES[job.engine].place.partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)(job)
    return runtime
