"""Give a model the inputs that model.yaml names a file for, beside a data set or random numbers."""

from __future__ import annotations

import os
import zipfile

from device_worker.trial.inputs import RANDOM_INPUTS, DatasetInputs, RandomInputs, fit_row
from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from device_worker.protocol.declarations import DeclaredInput
    from device_worker.protocol.specification import Specification, TrialJob
    from device_worker.trial.runtimes.base import InputSlot

    Inputs = Union[DatasetInputs, RandomInputs, "FileInputs"]

_REMEDY = "correct file, shape or dtype of the input in model.yaml"


class FileInputs:
    """The inputs of a job whose model.yaml takes some from files. `others` gives what no file gives.

    A data set comes before the files: accuracy is about its rows. The file of an input is opened when the input is
    first drawn. At most `rows_max` inputs of a file are kept in memory (None: all).
    """

    def __init__(self, job: TrialJob, others: DatasetInputs | RandomInputs, rows_max: int | None = None) -> None:
        self._job = job
        self._others = others
        self._rows_max = rows_max
        self._arrays: dict[str, Any] = {}
        self._has_random = False
        self.source = "file" if others.source == "random" else others.source
        self.labels = others.labels

    def __len__(self) -> int:
        """Return the number of different inputs, once the first one was drawn."""
        if not isinstance(self._others, RandomInputs):
            return len(self._others)
        rows = max((len(array) for array in self._arrays.values()), default=1)
        return max(rows, RANDOM_INPUTS) if self._has_random else rows

    def draw(self, index: int, slots: list[InputSlot]) -> list[Any]:
        """Return the inputs of inference number `index`. After the last input of a file the first one follows.

        Raise LoadFailure if a file does not fit the model.
        """
        named = {slot.name for slot in slots if self._takes_file(slot, len(slots))}
        others = [slot for slot in slots if slot.name not in named]
        if not others and not isinstance(self._others, RandomInputs):
            # Its labels would be those of other inputs.
            raise LoadFailure(
                "the data set has an array for no input, and every input has a file: name the arrays of the data set "
                "as the model's inputs, or leave the data set out"
            )
        self._has_random = self._has_random or bool(others)
        drawn = dict(zip((slot.name for slot in others), self._others.draw(index, others) if others else ()))
        return [self._row(index, slot) if slot.name in named else drawn[slot.name] for slot in slots]

    def hashes(self) -> dict[str, str]:
        """Return the hash of the file of each input that was taken from one."""
        declared = {name: self._job.inputs.of(name).file for name in self._arrays}
        return {name: file.sha256 for name, file in sorted(declared.items()) if file is not None}

    def _takes_file(self, slot: InputSlot, inputs: int) -> bool:
        if self._job.inputs.of(slot.name).file is None:
            return False
        return isinstance(self._others, RandomInputs) or not self._others.has(slot, inputs)

    def _row(self, index: int, slot: InputSlot) -> Any:
        if slot.name not in self._arrays:
            path = os.path.join(self._job.files_dir, _file_name(self._job.inputs.of(slot.name)))
            self._arrays[slot.name] = _read(path, slot, self._rows_max)
        rows = self._arrays[slot.name]
        return fit_row(rows[index % len(rows)], slot, f"the file of input {slot.name!r}", _REMEDY)


def open_inputs(specification: Specification, rows_max: int | None = None) -> Inputs:
    """Return the inputs of a trial. At most `rows_max` rows of a file are kept in memory (None: all)."""
    job = specification.job
    others: DatasetInputs | RandomInputs
    if job.dataset_path is not None:
        others = DatasetInputs(job.dataset_path, rows_max)
    else:
        others = RandomInputs(specification.seed, job.inputs)
    return FileInputs(job, others, rows_max) if job.inputs.files() else others


def _file_name(declared: DeclaredInput) -> str:
    assert declared.file is not None
    return declared.file.name


def _read(path: str, slot: InputSlot, rows_max: int | None) -> Any:
    """Return the inputs of a file, one in each row. Raise LoadFailure for another file, and for other shapes.

    The array of an .npz file has the name of the input, or is the only one.
    """
    import numpy

    try:
        found = numpy.load(path, allow_pickle=False)
        if not hasattr(found, "files"):
            array = found
        else:
            with found:
                name = slot.name if slot.name in found.files else found.files[0]
                if name != slot.name and len(found.files) > 1:
                    has = ", ".join(map(repr, sorted(found.files)[:10]))
                    raise LoadFailure(f"the file of input {slot.name!r} has {has}; name an array {slot.name!r}")
                array = found[name]
    except (OSError, TypeError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise LoadFailure(f"the file of input {slot.name!r} is no .npy or .npz file of numbers: {error}") from error
    rows = as_rows(array, slot.shape)
    if rows is None:
        words = f"the file of input {slot.name!r} is {list(array.shape)}, and the input takes {list(slot.shape)}"
        raise LoadFailure(f"{words}, or so many of them in a row in front; {_REMEDY}")
    if not len(rows):
        raise LoadFailure(f"the file of input {slot.name!r} has no input in it")
    # A slice alone would keep the whole array in memory.
    return rows[:rows_max].copy()


def as_rows(array: Any, shape: tuple[int, ...]) -> Any:
    """Return an array of inputs: an input of the shape, or several one behind the other. Return None for any other."""
    taken = tuple(array.shape)
    if taken == shape:
        return array[None]
    if taken[1:] == shape and len(taken) == len(shape) + 1:
        return array
    # Of inputs that have one item, the first size may count the inputs, as in a data set.
    return array if shape[:1] == (1,) and len(taken) == len(shape) and taken[1:] == shape[1:] else None
