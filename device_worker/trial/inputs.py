"""Give a model inputs: rows of a data set, or random numbers from a seed."""

from __future__ import annotations

from math import ceil, floor

from device_worker.trial.declared import shape_words
from device_worker.trial.runtimes.base import TEXT, LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.declarations import DeclaredInputs
    from device_worker.trial.runtimes.base import InputSlot

RANDOM_INPUTS = 8
_ONLY, _LABELS = "x", "y"
"""The arrays of a data set for a model with a single input, and of the labels."""


class DatasetInputs:
    """The rows of an .npz file: of the array `x` for a model's only input, or of an array by the name of each input.

    The optional array `y` holds the labels, one per row. Beside `x`, further arrays may be anything: those of as many
    rows are for inputs of their names. Raise LoadFailure for any other file.
    """

    source = "dataset"

    def __init__(self, path: str, rows_max: int | None = None) -> None:
        self._arrays = _read_rows(path, rows_max)
        self.labels = self._arrays.pop(_LABELS, None)
        self._count = next(map(len, self._arrays.values()), 0)
        if self._count == 0 or (self.labels is not None and len(self.labels) != self._count):
            labels = "no" if self.labels is None else len(self.labels)
            raise LoadFailure(f"the dataset has {self._count} rows and {labels} labels")
        counts = {name: len(rows) for name, rows in self._arrays.items()}
        if set(counts.values()) != {self._count}:
            words = ", ".join(f"{name!r} {count}" for name, count in sorted(counts.items()))
            raise LoadFailure(f"the arrays of the dataset have different numbers of rows: {words}")

    def __len__(self) -> int:
        return self._count

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`: an array for each input of the model.

        Arrays that the inputs do not want are let go. Raise LoadFailure if the rows do not fit the model.
        """
        names = [self._name_for(slot, len(slots)) for slot in slots]
        self._arrays = {name: self._arrays[name] for name in names}
        return [fit_row(self._arrays[name][index], slot) for name, slot in zip(names, slots)]

    def has(self, slot: InputSlot, inputs: int) -> bool:
        """Return True if the data set has rows for one of a model's inputs, of which there are so many."""
        return slot.name in self._arrays or (inputs == 1 and _ONLY in self._arrays)

    def _name_for(self, slot: InputSlot, inputs: int) -> str:
        if inputs == 1 and _ONLY in self._arrays:
            return _ONLY
        if slot.name in self._arrays:
            return slot.name
        has = ", ".join(map(repr, sorted(self._arrays)))
        wants = f"an array {_ONLY!r}, or one named" if inputs == 1 else "an array for each of several inputs, named"
        raise LoadFailure(f"the dataset has {has}, and input {slot.name!r} wants {wants} {slot.name!r}")


def _read_rows(path: str, rows_max: int | None) -> dict[str, Any]:
    """Return the arrays of an .npz file by name. Beside `x` those are left out that have no row for each of its rows.

    Raise LoadFailure for any other file.
    """
    import numpy

    found: dict[str, Any] = {}
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            count = len(arrays[_ONLY]) if _ONLY in arrays.files else None
            for name in arrays.files:
                try:
                    rows = arrays[name]
                    if count in (None, len(rows)) or name == _LABELS:
                        # A slice alone would keep the whole array in memory.
                        found[name] = rows[:rows_max].copy()
                except (TypeError, ValueError, IndexError):
                    if count is None or name == _LABELS:
                        raise
    except (OSError, TypeError, ValueError, IndexError) as error:
        raise LoadFailure(f"the dataset is not an .npz file of arrays with rows: {error}") from error
    return found


def fit_row(row: Any, slot: InputSlot, giver: str = "the dataset", remedy: str | None = None) -> Any:
    """Return a row in the shape of an input. Raise LoadFailure if it is not of that size, or of another kind.

    `giver` is where the row comes from, and `remedy` what to do about another shape there.
    """
    # A flat row fits any shape of its size. Other rows would be scrambled: channels first is not channels last.
    if row.size != _count(slot.shape) or (row.ndim > 1 and _without_ones(row.shape) != _without_ones(slot.shape)):
        given, taken = shape_words(row.shape), shape_words(slot.shape)
        said = f"{giver}'s rows are {given}, and input {slot.name!r} takes {taken}"
        raise LoadFailure(f"{said}; {remedy or _remedy(row.shape, slot.shape)}")
    is_text = row.dtype.kind in "SU"
    if is_text != (slot.dtype == TEXT):
        kinds = ("text", "numbers") if is_text else ("numbers", "text")
        raise LoadFailure(f"{giver} has {kinds[0]} for input {slot.name!r}, which is {slot.dtype} and takes {kinds[1]}")
    if row.dtype.kind == "S":
        row = _decoded(row, slot, giver)
    if slot.is_whole:
        _refuse_loss(row, slot, giver)
    elif slot.dtype == "float16" and abs(row).max() > _largest_float(slot):
        most = f"{_largest_float(slot):g} is the largest that it holds"
        raise LoadFailure(f"input {slot.name!r} is float16, and {giver} has {abs(row).max():g}: {most}")
    return row.reshape(slot.shape)


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
        if slot.dtype == TEXT:
            raise LoadFailure(
                f"input {slot.name!r} takes text, which nobody can draw; give the model a data set, an .npz file "
                f"with an array of text {slot.name!r}, and name it in the sweep: "
                "accuracy: {dataset: …, metric: outputs}, or name a file with text for the input in model.yaml: "
                f"inputs: {{{slot.name}: {{file: …}}}}"
            )
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


def _decoded(row: Any, slot: InputSlot, giver: str) -> Any:
    """Return bytes as text. Raise LoadFailure for bytes that are not UTF-8."""
    # As bytes, one runtime would take their Python spelling for the text, and another one crashes.
    import numpy

    try:
        return numpy.char.decode(row, "utf-8")
    except UnicodeDecodeError as error:
        raise LoadFailure(
            f"{giver} has bytes that are not UTF-8 for input {slot.name!r}, which takes text ({error}); save the array "
            "as text"
        ) from error


def _refuse_loss(row: Any, slot: InputSlot, giver: str) -> None:
    """Raise LoadFailure for a row with numbers that the input's dtype cannot hold."""
    import numpy

    least, most = _limits(slot.dtype)
    numbers = row.astype(numpy.float64)
    if not (numpy.floor(numbers) == numbers).all() or numbers.min() < least or numbers.max() > most:
        found = f"{numbers.min():g} to {numbers.max():g}"
        raise LoadFailure(f"input {slot.name!r} is {slot.dtype}, and {giver} has other numbers, from {found}")


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
