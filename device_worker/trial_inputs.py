"""Give a model its inputs: the job's dataset or, without one, random numbers that its seed repeats."""

from __future__ import annotations

from device_worker.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.runtimes.base import InputSlot

RANDOM_INPUTS = 8


class DatasetInputs:
    """The rows of an .npz file's `x`, for a model of one input; `y`, where there is one, are the labels."""

    source = "dataset"

    def __init__(self, path: str, rows_max: int | None = None) -> None:
        import numpy

        try:
            with numpy.load(path, allow_pickle=False) as arrays:
                self._rows = arrays["x"][:rows_max].copy()
                self.labels = arrays["y"][:rows_max].copy() if "y" in arrays.files else None
        except (OSError, ValueError, KeyError) as error:
            raise LoadFailure(f"the dataset is not an .npz file with an array x: {error}") from error
        if len(self._rows) == 0 or (self.labels is not None and len(self.labels) != len(self._rows)):
            raise LoadFailure(f"the dataset has {len(self._rows)} rows and {self.labels and len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of one inference, one array per input of the model."""
        if len(slots) != 1:
            raise LoadFailure(f"a dataset feeds one input, and the model has {len(slots)}")
        try:
            return [self._rows[index].reshape(slots[0].shape)]
        except ValueError:
            shape = self._rows[index].shape
            raise LoadFailure(f"the dataset's rows of {shape} do not fit the input of {slots[0].shape}") from None


class RandomInputs:
    """Uniform numbers: zeros would flatter a runtime, and the same seed gives every variant the same numbers."""

    source = "random"
    labels = None

    def __init__(self, seed: int, low: float, high: float) -> None:
        self._seed = seed
        self._low = low
        self._high = high

    def __len__(self) -> int:
        return RANDOM_INPUTS

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of one inference, one array per input of the model."""
        import numpy

        source: Any
        if hasattr(numpy.random, "default_rng"):
            source = numpy.random.default_rng([self._seed, index])
        else:  # numpy before 1.17, as Debian 10 has it
            source = numpy.random.RandomState([self._seed & 0xFFFFFFFF, index])
        return [source.uniform(self._low, self._high, slot.shape).astype(numpy.float32) for slot in slots]


def open_inputs(specification: dict[str, Any], rows_max: int | None = None) -> DatasetInputs | RandomInputs:
    """Return the inputs of a trial, of which it needs at most `rows_max`."""
    job = specification["job"]
    if job["dataset_path"] is not None:
        return DatasetInputs(job["dataset_path"], rows_max)
    bounds = job.get("input") or {}
    return RandomInputs(specification["seed"], bounds.get("low", 0.0), bounds.get("high", 1.0))
