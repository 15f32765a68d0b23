"""Run a trial: load a model, then prove that the model works (preflight) or time the model (measure)."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from time import monotonic_ns, perf_counter_ns

from device_worker.protocol.samples import encode_block
from device_worker.protocol.specification import Specification
from device_worker.protocol.vocabulary import STARTED_VARIABLE, FailureKind
from device_worker.trial.accuracy import KEPT_OUTPUTS, METRICS
from device_worker.trial.accuracy.base import Unprovable
from device_worker.trial.batching import cannot, draw_items, items_of, split_outputs
from device_worker.trial.causes import describe, is_caused
from device_worker.trial.declared import check_inputs
from device_worker.trial.delegation import Fallback
from device_worker.trial.encoding import Saturation
from device_worker.trial.input_files import FileInputs, open_inputs
from device_worker.trial.judged import judged_outputs
from device_worker.trial.measurement import StopRule, choose_batch, median, time_calls
from device_worker.trial.memory import MemoryStages
from device_worker.trial.model_files import explain_file
from device_worker.trial.profile import RUNS_MAX, RUNS_WARMUP, SECONDS_MAX, ProfileUnavailable
from device_worker.trial.proof import OUTPUTS_MAX, Proof, without_outputs
from device_worker.trial.rate_search import search_rate, search_rate_of_server
from device_worker.trial.reading import read_outputs, time_reading
from device_worker.trial.runtimes import ENGINES
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.scenarios import run_queries
from device_worker.trial.server_counts import SEARCHED
from device_worker.trial.side_by_side import connect, lanes_of, run_side_by_side
from device_worker.trial.state import NO_SCENARIO, ModelState, check_fed_shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.trial.input_files import Inputs
    from device_worker.trial.measurement import Timing
    from device_worker.trial.runtimes.base import LoadedModel, Runtime
    from device_worker.trial.scenarios import Queries
    from device_worker.trial.side_by_side import Lane

    Say = Callable[..., None]

_COPY_RULE = StopRule(runs_min=30, seconds_min=0.0, runs_max=30, seconds_max=1.0)
_PLAIN_FILES = ("tflite", "onnxruntime")
"""Engines whose models are never archives."""
_SETTLE_RUNS = 4
_SETTLE_NS_MAX = 200000000
_NS_PER_S = 1000000000


def run_trial() -> int:
    """Execute the specification on standard input, and write the lines of the trial interface to standard output.

    The process ends here with exit code 0, even after a failure, which is a line of the interface.
    """
    process_start_ns = _since_start_ns()
    say = _take_over_stdout()
    trial = Trial(Specification.parse(sys.stdin.read()), say, process_start_ns)
    try:
        trial.execute()
        say(done=True)
    except LoadFailure as error:
        if is_caused(error):  # whoever looks closer finds where a library's own loading failed
            traceback.print_exc()
        say(failure={"kind": FailureKind.LOAD, "message": trial.explain(str(error))})
    except Fallback as error:
        say(failure={"kind": FailureKind.FALLBACK, "message": str(error)})
    except MemoryError as error:
        say(failure={"kind": FailureKind.OUT_OF_MEMORY, "message": f"out of memory: {error}"})
    except Exception as error:  # noqa: BLE001 the border of the attempt: whatever a runtime raises costs this attempt
        traceback.print_exc()
        kind = FailureKind.INFERENCE if trial.is_loaded else FailureKind.LOAD
        say(failure={"kind": kind, "message": trial.explain(describe(error))})
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


def _since_start_ns() -> int | None:
    """Return the time since the runner began to start this process, or None if no runner said when."""
    try:
        started = int(os.environ.get(STARTED_VARIABLE, ""))
    except ValueError:
        return None
    return max(0, monotonic_ns() - started)


def _files_of(inputs: Inputs) -> dict[str, Any]:
    """Return the files that inputs came from, by hash, for the identity of what was run."""
    return {"input_files": inputs.hashes()} if isinstance(inputs, FileInputs) else {}


class Trial:
    """A trial. `is_loaded` is True once the model is loaded, and tells a load error from an inference error.

    `process_start_ns` is how long the start of the process took, or None if unknown.
    """

    def __init__(self, specification: Specification, say: Say, process_start_ns: int | None = None) -> None:
        self._specification = specification
        self._job = specification.job
        self._batch = specification.job.batch or 1
        self._say = say
        self._cold_ns: dict[str, int | None] = {"process_start_ns": process_start_ns}
        self._memory: MemoryStages
        self._state: ModelState
        self.is_loaded = False

    def explain(self, message: str) -> str:
        """Return the message of a failure, behind what the model's file is where the file is no model."""
        path = None if self.is_loaded else self._job.model_path
        found = None if path is None else explain_file(path, may_be_packed=self._job.engine not in _PLAIN_FILES)
        return message if found is None else f"{found} ({message})"

    def execute(self) -> None:
        """Load the model, prove or time the model, and report the results through `say`."""
        sys.path[:0] = self._job.python_path
        runtime = self._open_runtime()
        try:
            self._execute(runtime)
        finally:
            runtime.close()

    def _execute(self, runtime: Runtime) -> None:
        if self._specification.is_profile:
            self._profile(runtime)
            return
        inputs = open_inputs(self._specification, None if self._specification.is_preflight else self._batch)
        session, encoded = self._load(runtime, inputs)
        self._say_cold_start(session)
        self._settle(session)
        self._judge_nodes(session)
        if self._specification.is_preflight:
            self._prove(session, inputs)
        else:
            self._measure(session, encoded)
        self._say(runtime=dict(session.identity(), state=self._state.to_json(), **_files_of(inputs)))
        for metric, value, reason in self._memory.figures():
            is_elsewhere = session.memory_reason is not None
            self._say_figure(metric, None if is_elsewhere else value, session.memory_reason or reason)

    def _open_runtime(self) -> Runtime:
        """Import the job's runtime."""
        module, _, name = ENGINES[self._job.engine].place.partition(":")
        make = getattr(importlib.import_module(module), name)  # the worker's own module, which is no runtime
        self._memory = MemoryStages()
        begin = perf_counter_ns()
        runtime: Runtime = make(self._job)
        self._cold_ns["import_ns"] = perf_counter_ns() - begin
        self._memory.end("rss_import_bytes")
        return runtime

    def _load(self, runtime: Runtime, inputs: Inputs) -> tuple[LoadedModel, list[Any]]:
        """Load the model and run the first inference. Return the model with the encoded inputs."""
        gc.collect()
        self._memory.begin_model()
        begin = perf_counter_ns()
        session = runtime.load()
        loaded = perf_counter_ns()
        self._memory.end("rss_load_bytes")
        self._refuse_inputs(session)
        self._state = ModelState(session, self._job)
        encoded = self._state.set_inputs(draw_items(inputs, 0, session.inputs, self._batch), first=True)
        self.is_loaded = True
        before = perf_counter_ns()
        self._invoke_first(session)
        after = perf_counter_ns()
        self._cold_ns.update(load_ns=loaded - begin, first_inference_ns=after - before)
        check_fed_shapes(session, self._job)
        return session, encoded

    def _refuse_inputs(self, session: LoadedModel) -> None:
        """Raise LoadFailure for inputs that contradict model.yaml, and if no input has room for a batch."""
        check_inputs(items_of(session.inputs), self._job.inputs)
        if self._batch > 1 and all(slot.shape == slot.item_shape for slot in session.inputs):
            raise cannot(self._batch, "none of its inputs has a first size for the items")

    def _invoke_first(self, session: LoadedModel) -> None:
        if self._batch == 1:
            session.invoke()
            return
        try:
            session.invoke()
        except RuntimeError as error:  # a shape in the middle of the model is fixed
            raise cannot(self._batch, describe(error)) from error

    def _say_cold_start(self, session: LoadedModel) -> None:
        """Report the pieces of the cold start, and the sum of the pieces."""
        unknown = "no runner said when the process began"
        for metric, piece_ns in self._cold_ns.items():
            self._say_figure(metric, piece_ns, unknown)
        known = [piece_ns for piece_ns in self._cold_ns.values() if piece_ns is not None]
        self._say_figure("cold_start_ns", sum(known) if len(known) == len(self._cold_ns) else None, unknown)
        self._say_figure("allocate_ns", session.allocate_ns, session.allocate_reason)

    def _profile(self, runtime: Runtime) -> None:
        """Report the operators of the model, or the reason why the runtime tells nothing of them."""
        inputs = open_inputs(self._specification, self._batch)
        try:
            profiled = runtime.load_profiled(self._job.files_dir)
            session = profiled.model
            self._refuse_inputs(session)
            state = ModelState(session, self._job)
            state.set_inputs(draw_items(inputs, 0, session.inputs, self._batch), first=True)
            self.is_loaded = True
            first = 0
            if state.prepare is not None:  # what is fed back must have come out of a run
                session.invoke()
                check_fed_shapes(session, self._job)
                first = 1
            rule = StopRule(RUNS_MAX, 0.0, RUNS_MAX, SECONDS_MAX)
            runs = time_calls(session.invoke, rule, prepare=state.prepare)
            profile = profiled.read_profile(min(RUNS_WARMUP, first + len(runs.samples) - 1))
        except ProfileUnavailable as unavailable:
            self._say(metric="profile_runs", value=0)
            self._say_figure("operator_ns", None, str(unavailable))
            return
        self._say(metric="profile_runs", value=profile.runs)
        self._say(profile=profile.to_json())
        self._say(runtime=session.identity())

    def _settle(self, session: LoadedModel) -> None:
        """Run a few inferences, and keep the memory of the model before the timing takes any."""
        # The samples of the timing take memory: the more, the faster the model is.
        first_ns = self._cold_ns["first_inference_ns"] or 1
        for _ in range(min(_SETTLE_RUNS, _SETTLE_NS_MAX // first_ns)):  # none of a model that takes seconds
            if self._state.prepare is not None:
                self._state.prepare()
            session.invoke()
        read_outputs(session, self._batch)
        self._memory.end("rss_run_bytes")
        self._memory.end("rss_steady_bytes", is_whole=True)
        self._memory.end_model()

    def _judge_nodes(self, session: LoadedModel) -> None:
        """Report where nodes run. Raise Fallback if the delegate asked for runs too few, or nobody can tell."""
        places = session.count_nodes()
        for metric, value, reason in places.figures():
            self._say_figure(metric, value, reason)
        try:
            places.refuse_fallback(self._job.delegation)
        except Fallback:
            self._say(runtime=session.identity())  # a failed attempt keeps no metrics, and the counts stand here too
            raise

    def _say_figure(self, metric: str, value: float | None, reason: str | None) -> None:
        """Report a figure, or the reason for a missing figure."""
        if value is None:
            self._say(metric=metric, value=None, reason=reason)
        else:
            self._say(metric=metric, value=value)

    def _measure(self, session: LoadedModel, encoded: list[Any]) -> None:
        measure = self._specification.measure
        gc.collect()
        gc.freeze()
        gc.disable()  # a garbage collection inside the loop would be measured as latency
        prepare = self._state.prepare
        if measure.scenario is not None and prepare is not None:
            raise LoadFailure(NO_SCENARIO)
        warmup = time_calls(session.invoke, StopRule.of_warmup(measure), prepare=prepare)
        queries: Queries | None = None
        lanes = session.lanes(lanes_of(measure, self._job.settings))
        connect(lanes)
        counted = session.server_counts()
        if measure.scenario is None:
            batch = choose_batch(session.invoke, warmup) if prepare is None else 1
            timing = time_calls(session.invoke, StopRule.of_measurement(measure), batch, prepare)
        else:
            rule = StopRule.of_measurement(measure)
            queries = self._send_queries(session, lanes, rule, warmup)
            timing = queries.timing
        counts = session.server_counts() if measure.p99_ns_max is None else SEARCHED
        gets = time_reading(session, _COPY_RULE)
        sets = time_calls(lambda: session.set_inputs(encoded), _COPY_RULE)
        self._memory.end_peak()  # before samples are sorted and packed, which takes memory too
        gc.enable()
        self._say(metric="latency_ns", packed=encode_block(timing.samples), batch=timing.batch)
        if queries is not None:
            self._say_queries(queries)
        elif self._job.batch is not None:
            items = self._batch * len(timing.samples)
            self._say(metric="throughput_items_per_s", value=items * _NS_PER_S / max(1, sum(timing.samples)))
        self._say(window={"begin_mono_ns": timing.begin_ns, "end_mono_ns": timing.end_ns})
        self._say(metric="warmup_runs", value=len(warmup.samples))
        self._say(metric="set_input_ns", value=median(sets.samples))
        if gets is not None:
            self._say(metric="get_output_ns", value=median(gets.samples))
        self._say(metric="involuntary_switches", value=timing.involuntary_switches)
        if timing.steady_ratio is not None:
            self._say(metric="steady_ratio", value=timing.steady_ratio)
        for figure in counts.figures(counted) if counts and counted else ():
            self._say_figure(*figure)

    def _send_queries(self, session: LoadedModel, lanes: list[Lane], rule: StopRule, warmup: Timing) -> Queries:
        """Send the queries of a scenario, side by side to a server.

        Where a bound is given, search the highest rate that holds it.
        """
        measure, seed = self._specification.measure, self._specification.seed
        if measure.p99_ns_max is None:
            if lanes:
                return run_side_by_side(lanes, measure, rule, seed)
            return run_queries(session.invoke, measure, rule, seed)
        if lanes:
            search = search_rate_of_server(lanes, measure, rule, seed)
        else:
            search = search_rate(session.invoke, measure, rule, warmup, seed)
        self._say_figure("rate_max_per_s", None if search.reason else search.rate_per_s, search.reason)
        self._say(metric="rate_per_s", value=search.rate_per_s)
        self._say(metric="rate_probes", value=search.probes)
        return search.queries

    def _say_queries(self, queries: Queries) -> None:
        """Report what MLPerf judges a scenario by."""
        self._say(metric="query_latency_ns", packed=encode_block(queries.latencies))
        self._say(metric="throughput_items_per_s", value=queries.items_per_s(self._batch))
        found = queries.percentile()
        if found is not None:
            self._say(metric=found[0], value=found[1])

    def _prove(self, session: LoadedModel, inputs: Inputs) -> None:
        """Run the inputs in order, keep the first outputs, and report the accuracy if the job asks for a metric.

        Outputs that cannot be kept are left out, with the reason: timing needs no proof. So are outputs of inputs
        that are mostly clipped. Raise LoadFailure for an unknown metric, or for a metric without labels.
        """
        asked = self._job.accuracy_metric
        metric = None if asked == KEPT_OUTPUTS else asked
        if metric is not None and metric not in METRICS:
            raise LoadFailure(f"this worker does not know the accuracy metric {metric!r}")
        if metric is not None and inputs.labels is None:
            raise LoadFailure(f"{metric} needs a dataset with labels, an array y")
        proof, saturation = Proof(asked), Saturation(session.input_ranges)
        reason: str | None
        try:
            count = len(inputs) if asked else min(len(inputs), OUTPUTS_MAX)
            self._feed(session, inputs, count, proof, saturation)
            reason, ranges = saturation.refusal(inputs.source), saturation.to_json()
        except Unprovable as unprovable:
            reason, ranges = str(unprovable), []  # which numbers the other inputs have, nobody has looked
        self._memory.end_peak()
        if reason is not None:
            if metric is not None:
                self._say_figure(f"accuracy_{metric}", None, reason)
            self._say(outputs=dict(without_outputs(reason, inputs.source), input_ranges=ranges))
            return
        if metric is not None:
            self._say(metric=f"accuracy_{metric}", value=proof.accuracy())
            results = proof.to_input_results()
            if results is not None:
                self._say(input_results=results)
        if proof.unkept is not None:
            self._say(outputs=dict(without_outputs(proof.unkept, inputs.source), input_ranges=ranges))
        elif proof.count:
            self._say(outputs=dict(proof.to_outputs(), inputs=inputs.source, input_ranges=ranges))

    def _feed(
        self,
        session: LoadedModel,
        inputs: Inputs,
        count: int,
        proof: Proof,
        saturation: Saturation,
    ) -> None:
        """Run inputs in order, and hand on inputs and outputs. Raise Unprovable for outputs that cannot be kept."""
        for first in range(0, count, self._batch):
            values = draw_items(inputs, first, session.inputs, self._batch)
            self._state.set_inputs(values, first=first == 0)
            if self._state.unbegun is not None:
                raise Unprovable(self._state.unbegun)
            saturation.add(self._state.given)  # a state that is fed back takes the place of what was drawn
            session.invoke()
            for item, index in zip(split_outputs(session, self._batch), range(first, count)):
                label = None if inputs.labels is None else inputs.labels[index]
                proof.add(judged_outputs(item, self._job), label)
