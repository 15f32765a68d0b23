"""Give a model inputs: the job's dataset, or random numbers from a seed."""

from __future__ import annotations

from math import ceil, floor

from device_worker.trial.declared import shape_words
from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.declarations import DeclaredInputs
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
            labels = "no" if self.labels is None else len(self.labels)
            raise LoadFailure(f"the dataset has {len(self._rows)} rows and {labels} labels")

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`: an array for each input of the model.

        Raise LoadFailure if the rows do not fit the model.
        """
        if len(slots) != 1:
            raise LoadFailure(f"a dataset feeds one input, and the model has {len(slots)}")
        slot, row = slots[0], self._rows[index]
        # A flat row fits any shape of its size. Other rows would be scrambled: channels first is not channels last.
        if row.size != _count(slot.shape) or (row.ndim > 1 and _without_ones(row.shape) != _without_ones(slot.shape)):
            given, taken = shape_words(row.shape), shape_words(slot.shape)
            said = f"the dataset's rows are {given}, and input {slot.name!r} takes {taken}"
            raise LoadFailure(f"{said}; {_remedy(row.shape, slot.shape)}")
        if slot.is_whole:
            _refuse_loss(row, slot)
        elif slot.dtype == "float16" and abs(row).max() > _largest_float(slot):
            most = f"{_largest_float(slot):g} is the largest that it holds"
            raise LoadFailure(f"input {slot.name!r} is float16, and the dataset has {abs(row).max():g}: {most}")
        return [row.reshape(slot.shape)]


class RandomInputs:
    """Uniform random numbers in the declared range. The same seed gives every variant the same numbers."""

    # Not zeros, which would flatter a runtime.
    source = "random"
    labels = None

    def __init__(self, seed: int, declared: DeclaredInputs) -> None:
        self._seed = seed
        self._declared = declared

    def __len__(self) -> int:
        return RANDOM_INPUTS

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`: an array for each input of the model.

        Whole numbers are those from the declared low to below high. Where only one number is there, high is one too.
        Inputs draw in the order of their names: files of one network have them in any order.
        Raise LoadFailure for a range without two numbers of the input's dtype.
        """
        import numpy

        source: Any
        if hasattr(numpy.random, "default_rng"):
            source = numpy.random.default_rng([self._seed, index])
        else:  # numpy before 1.17, such as in Debian 10
            source = numpy.random.RandomState([self._seed & 0xFFFFFFFF, index])
        drawn = {slot.name: self._draw_one(source, slot) for slot in sorted(slots, key=_name_of)}
        return [drawn[slot.name] for slot in slots]

    def _draw_one(self, source: Any, slot: InputSlot) -> Any:
        import numpy

        declared = self._declared.of(slot.name)
        if not slot.is_whole:
            most = _largest_float(slot)
            if not -most <= declared.low <= declared.high <= most:
                raise LoadFailure(
                    f"input {slot.name!r} is {slot.dtype}, and holds no numbers from {declared.low:g} "
                    f"to {declared.high:g}: {most:g} is the largest; declare low and high in model.yaml for it"
                )
            return numpy.asarray(source.uniform(declared.low, declared.high, slot.shape), dtype=numpy.float32)
        first, last = ceil(declared.low), ceil(declared.high) - 1
        if last <= first:
            last = floor(declared.high)
        least, most = _limits(slot.dtype)
        if not least <= first < last <= most:
            raise LoadFailure(
                f"input {slot.name!r} is {slot.dtype}, and has no two numbers from {declared.low:g} "
                f"to {declared.high:g} to draw from; declare low and high in model.yaml for it"
            )
        numbers = numpy.floor(source.uniform(first, last + 1, slot.shape))
        return numpy.minimum(numbers, last)  # rounding may give the bound itself


def open_inputs(specification: Specification, rows_max: int | None = None) -> DatasetInputs | RandomInputs:
    """Return the inputs of a trial. At most `rows_max` rows of a dataset are kept in memory (None: all)."""
    job = specification.job
    if job.dataset_path is not None:
        return DatasetInputs(job.dataset_path, rows_max)
    return RandomInputs(specification.seed, job.inputs)


def _refuse_loss(row: Any, slot: InputSlot) -> None:
    """Raise LoadFailure for a row with numbers that the input's dtype cannot hold."""
    import numpy

    least, most = _limits(slot.dtype)
    numbers = row.astype(numpy.float64)
    if not (numpy.floor(numbers) == numbers).all() or numbers.min() < least or numbers.max() > most:
        found = f"{numbers.min():g} to {numbers.max():g}"
        raise LoadFailure(f"input {slot.name!r} is {slot.dtype}, and the dataset has other numbers, from {found}")


def _largest_float(slot: InputSlot) -> float:
    """Return the largest number that an input can be given. Numbers go to the model as float32, or narrower."""
    import numpy

    return float(numpy.finfo("float16" if slot.dtype == "float16" else "float32").max)


def _name_of(slot: InputSlot) -> str:
    return slot.name


def _limits(dtype: str) -> tuple[int, int]:
    import numpy

    if dtype == "bool":
        return 0, 1
    limits = numpy.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _remedy(given: tuple[int, ...], taken: tuple[int, ...]) -> str:
    """Return what to do about rows of another shape, by the mistakes that people make most."""
    if sorted(_without_ones(given)) == sorted(_without_ones(taken)):
        return "the same sizes in another order, as channels first and channels last are: transpose x"
    if given[1:] and sorted(_without_ones(given[1:])) == sorted(_without_ones(taken)):
        return "x has one size too many in front, as of a batch: each row is one item"
    return "make x of such rows, or declare another dataset in the sweep"


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]
