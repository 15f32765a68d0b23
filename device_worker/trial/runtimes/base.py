"""Define the interface of a runtime for the trial process.

Only a trial process imports the module of a runtime. Heavy libraries are imported when `Runtime` is created, so that
the time of loading a model leaves out the imports. Arrays are numpy's.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod

from device_worker.trial.causes import describe
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.profile import ProfileUnavailable
from device_worker.trial.runtimes import ENGINES
from device_worker.trial.runtimes.distribution import find_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.profile import Profile
    from device_worker.trial.server_counts import ServerCounts


TEXT = "string"
"""The dtype of inputs that take text."""

AUTO = "auto"
"""The `module` of a job for the first importable module of the engine."""


class LoadFailure(Exception):
    """The model or the runtime cannot be made ready to run. The message says why."""


class InputSlot:
    """An input of a model: name, shape and the dtype's name. `is_quantised` tells whether `encode_inputs` scales.

    `item_shape` is the shape of one item where an invocation takes several: inputs of two sizes and more have an entry
    for each item.
    """

    __slots__ = ("dtype", "is_quantised", "item_shape", "name", "shape")

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: str, is_quantised: bool = False, batch: int = 1
    ) -> None:
        self.name = name
        self.item_shape = (1, *shape[1:]) if batch > 1 and len(shape) > 1 else shape
        self.shape = shape
        self.dtype = dtype
        self.is_quantised = is_quantised

    @property
    def is_whole(self) -> bool:
        """Whether the model takes whole numbers, or truth values, as they are."""
        return not self.is_quantised and self.dtype.startswith(("int", "uint", "bool"))


class InputRange:
    """What a quantised input holds: the numbers from `low` to `high`, `scale` apart."""

    __slots__ = ("dtype", "high", "low", "name", "scale")

    def __init__(self, name: str, dtype: str, low: float, high: float, scale: float) -> None:
        self.name = name
        self.dtype = dtype
        self.low = low
        self.high = high
        self.scale = scale


class LoadedModel(ABC):
    """A loaded model. `invoke` runs a single inference, and `inputs` describes the inputs.

    `allocate_ns` is the part of loading that allocated the tensors. `allocate_reason` says why the part is unknown.
    """

    # Called in the measured loop: bind the runtime's own function, since a wrapper would be measured too.
    invoke: Callable[[], object]
    inputs: list[InputSlot]
    input_ranges: Sequence[InputRange | None] = ()
    """What each input holds, None for one that is not quantised. Empty where the runtime quantises nothing."""
    output_names: Sequence[str] = ()
    allocate_ns: int | None = None
    allocate_reason = "the runtime allocates while it loads, in one step"
    memory_reason: str | None = None
    """Why the memory of the trial's process is not the model's, or None."""

    @abstractmethod
    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return `values`, a float array for each input, in the dtypes of the model, quantised if the model is."""

    @abstractmethod
    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy encoded inputs into the model."""

    @abstractmethod
    def get_outputs(self) -> list[Any]:
        """Return the outputs of the last `invoke` in the dtypes of the model."""

    @abstractmethod
    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32 arrays, dequantised if quantised. Strings and complex numbers stay."""

    def server_counts(self) -> ServerCounts | None:
        """Return what a server has counted of its own work until now, or None without a server."""
        return None

    def lanes(self, count: int) -> list[Callable[[], object]]:
        """Return functions that run inferences side by side, or [] where inferences follow one another."""
        return []

    def count_nodes(self) -> NodePlaces:
        """Return where the nodes of the model run, or why that is unknown."""
        return NodePlaces(None, None, reason="this worker does not count the nodes of the engine")

    def variables(self) -> list[str] | None:
        """Return what keeps a state from one invocation to the next: [] for nothing, None where nobody can tell."""
        return None

    def reset_variables(self) -> None:
        """Give all variables their first value. Raise LoadFailure if the runtime cannot."""
        raise LoadFailure("this worker does not reset the state of the engine; declare state: keep in model.yaml")

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return the identity of the runtime after the first inference: name, version, delegates, threads, dtypes.

        Unknown values are None.
        """


class Runtime(ABC):
    """A runtime imported for a job of a plan. `engine` is the name in the table of engines."""

    engine: str

    profile_absence: str | None = "this worker has no profiler for the engine"
    """Why `load_profiled` is missing, or None."""

    settings: frozenset[str]
    """The keys of a sweep's matrix for the engine, the same as in the controller's table of runtimes."""

    def __init__(self, job: TrialJob) -> None:
        """Import the job's module. Raise LoadFailure for an unknown setting, a missing model or a failed import."""
        # An unknown setting would silently do nothing, and its figure would carry a wrong name.
        self._settings: dict[str, Any] = job.settings
        self._batch = job.batch
        self._declared = job.inputs
        self._delegation = job.delegation
        unknown = sorted(set(self._settings) - self.settings)
        if unknown:
            known = ", ".join(sorted(self.settings))
            raise LoadFailure(f"the {self.engine} engine has no setting {unknown[0]!r}; it has {known}")
        if job.model_path is None:
            raise LoadFailure("the job has no model")
        self._model_path: str = job.model_path
        self._module_name, self._module = self._import(job.module or AUTO)

    def _import(self, name: str) -> tuple[str, Any]:
        """Import the engine's module, and return name and module. `auto` imports the first installed module."""
        candidates = ENGINES[self.engine].distributions if name == AUTO else (name,)
        errors: list[ImportError] = []
        for candidate in candidates:
            try:
                return candidate, self._import_module(candidate)
            except ImportError as error:
                errors.append(error)
        words = "; ".join(f"{candidate}: {describe(error)}" for candidate, error in zip(candidates, errors))
        raise LoadFailure(words) from errors[-1]

    def _import_module(self, name: str) -> Any:
        return importlib.import_module(name)

    def _distribution(self) -> tuple[str, str | None]:
        """Return the name and the version of the module's package."""
        name = ENGINES[self.engine].distributions.get(self._module_name, self._module_name)
        return name, find_version(importlib.import_module(self._module_name.partition(".")[0]), name)

    @abstractmethod
    def load(self) -> LoadedModel:
        """Make the job's model ready for the first inference. Raise LoadFailure."""

    def close(self) -> None:  # noqa: B027 most runtimes have nothing to end
        """End what `load` has started beside the process."""

    def load_profiled(self, folder: str) -> ProfiledModel:
        """Make the model ready, with a profiler that writes into a folder. Raise LoadFailure or ProfileUnavailable."""
        raise ProfileUnavailable(self.profile_absence or "")


class ProfiledModel(ABC):
    """A loaded model whose operators are timed. `model` runs inferences as usual, and more slowly."""

    model: LoadedModel

    @abstractmethod
    def read_profile(self, warmup: int) -> Profile:
        """End the profile, and return the operators of all inferences but the first ones. Raise ProfileUnavailable."""
