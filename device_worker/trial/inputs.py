"""Give a model inputs: the job's dataset, or random numbers from a seed."""

from __future__ import annotations

from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import Specification
    from device_worker.trial.runtimes.base import InputSlot

RANDOM_INPUTS = 8


class DatasetInputs:
    """The rows of the array `x` in an .npz file, for a model with a single input.

    The optional array `y` holds the labels, one per row. Raise LoadFailure for any other file.
    """

    source = "dataset"

    def __init__(self, path: str, rows_max: int | None = None) -> None:
        import numpy

        try:
            with numpy.load(path, allow_pickle=False) as arrays:
                self._rows = arrays["x"][:rows_max].copy()  # a slice alone would keep the whole array in memory
                self.labels = arrays["y"][:rows_max].copy() if "y" in arrays.files else None
        except (OSError, ValueError, KeyError) as error:
            raise LoadFailure(f"the dataset is not an .npz file with an array x: {error}") from error
        if len(self._rows) == 0 or (self.labels is not None and len(self.labels) != len(self._rows)):
            raise LoadFailure(f"the dataset has {len(self._rows)} rows and {self.labels and len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`: an array for each input of the model.

        Raise LoadFailure if the rows do not fit the model.
        """
        if len(slots) != 1:
            raise LoadFailure(f"a dataset feeds one input, and the model has {len(slots)}")
        try:
            return [self._rows[index].reshape(slots[0].shape)]
        except ValueError:
            shape = self._rows[index].shape
            raise LoadFailure(f"the dataset's rows of {shape} do not fit the input of {slots[0].shape}") from None


class RandomInputs:
    """Uniform random numbers. The same seed gives every variant the same numbers."""

    # Not zeros, which would flatter a runtime.
    source = "random"
    labels = None

    def __init__(self, seed: int, low: float, high: float) -> None:
        self._seed = seed
        self._low = low
        self._high = high

    def __len__(self) -> int:
        return RANDOM_INPUTS

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`: an array of float32 for each input of the model."""
        import numpy

        source: Any
        if hasattr(numpy.random, "default_rng"):
            source = numpy.random.default_rng([self._seed, index])
        else:  # numpy before 1.17, such as in Debian 10
            source = numpy.random.RandomState([self._seed & 0xFFFFFFFF, index])
        return [source.uniform(self._low, self._high, slot.shape).astype(numpy.float32) for slot in slots]


def open_inputs(specification: Specification, rows_max: int | None = None) -> DatasetInputs | RandomInputs:
    """Return the inputs of a trial. At most `rows_max` rows of a dataset are kept in memory (None: all)."""
    job = specification.job
    if job.dataset_path is not None:
        return DatasetInputs(job.dataset_path, rows_max)
    return RandomInputs(specification.seed, job.input_low, job.input_high)
