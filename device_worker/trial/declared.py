"""Hold a model's file to what the model's maker declares. Whatever contradicts or stays open is a LoadFailure."""

from __future__ import annotations

from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from device_worker.protocol.declarations import DeclaredInputs, DeclaredOutput
    from device_worker.trial.runtimes.base import InputSlot

_FAMILIES = ("float", "uint", "int", "bool")


def settle_shape(name: str, sizes: Sequence[int | None], declared: DeclaredInputs) -> tuple[int, ...]:
    """Return the shape of an input, with the declared size for each open size (None) of the file.

    An open first size, the batch, is 1 where nobody declares a shape. Raise LoadFailure for any other open size.
    """
    wanted = declared.of(name).shape
    if wanted is not None:
        if len(wanted) != len(sizes) or any(size not in (None, given) for size, given in zip(sizes, wanted)):
            raise _contradiction(name, shape_words(sizes), shape_words(wanted), _mistake(sizes, wanted))
        return wanted
    settled = [1 if axis == 0 and size is None and len(sizes) > 1 else size for axis, size in enumerate(sizes)]
    fixed = tuple(size for size in settled if size is not None)
    if len(fixed) < len(sizes):
        words = f"input {name!r} has open sizes in the file: {shape_words(sizes)}"
        raise LoadFailure(f"{words}; declare input.shape in model.yaml, with a number for each, and run the sweep anew")
    return fixed


def batched_shape(
    name: str, sizes: Sequence[int | None] | None, declared: DeclaredInputs, batch: int | None, *, can_resize: bool
) -> tuple[int, ...]:
    """Return the shape of an input for `batch` items in each invocation. None is the model as it is.

    `sizes` are those of the file, None for any number of dimensions.
    The first size is the batch where an input has two sizes or more. `can_resize`: a fixed first size of 1 may change.
    Raise LoadFailure for a first size that is fixed otherwise.
    """
    if sizes is None:
        sizes = _open_sizes(name, declared)
    if batch is None or len(sizes) < 2:
        return settle_shape(name, sizes, declared)
    if sizes[0] is not None and sizes[0] != batch and not (can_resize and sizes[0] == 1):
        found = f"the file fixes the first size of input {name!r}, {shape_words(sizes)}"
        raise LoadFailure(
            f"the model takes no batch of {batch}: {found}; leave the cell out (exclude: [{{batch: {batch}}}])"
        )
    wanted = declared.of(name).shape
    if wanted and wanted[0] != 1:
        raise LoadFailure(
            f"model.yaml declares {shape_words(wanted)} for input {name!r}, and the cell asks for a batch of {batch}; "
            "declare 1 for the first size there"
        )
    item = settle_shape(name, [None if wanted is not None else 1, *sizes[1:]], declared)
    return (batch, *item[1:])


def _open_sizes(name: str, declared: DeclaredInputs) -> list[None]:
    """Return as many open sizes as are declared. Raise LoadFailure where nobody declares a shape."""
    wanted = declared.of(name).shape
    if wanted is None:
        words = f"input {name!r} has any number of dimensions in the file; declare input.shape in model.yaml"
        raise LoadFailure(f"{words}, or the shape of this input by its name under inputs, and run the sweep anew")
    return [None] * len(wanted)


def check_inputs(slots: Sequence[InputSlot], declared: DeclaredInputs) -> None:
    """Compare inputs of a loaded model with the declarations. Raise LoadFailure for a contradiction."""
    names = [slot.name for slot in slots]
    strangers = sorted(set(declared.by_name) - set(names))
    undeclared = [name for name in names if name not in declared.by_name]
    if strangers and undeclared:
        found = ", ".join(map(repr, names))
        raise LoadFailure(f"model.yaml declares an input {strangers[0]!r}, and the file has {found}; name them there")
    for slot in slots:
        wanted = declared.of(slot.name)
        if wanted.shape is not None and wanted.shape != slot.shape:
            found, given = shape_words(slot.shape), shape_words(wanted.shape)
            raise _contradiction(slot.name, found, given, _mistake(slot.shape, wanted.shape))
        # Quantised inputs take the declared numbers, and the widths of a family take the same numbers.
        if wanted.dtype is not None and not slot.is_quantised and _family(wanted.dtype) != _family(slot.dtype):
            raise _contradiction(slot.name, slot.dtype, wanted.dtype)


def find_output(declared: DeclaredOutput | None, names: Sequence[str], outputs: Sequence[Any]) -> int | None:
    """Return the place of the declared output, by name and shape, or by shape alone.

    Return None where nothing is declared and the model has several outputs. Raise LoadFailure if no output fits, or
    several fit.
    """
    if declared is None:
        return 0 if len(outputs) == 1 else None
    fitting = [place for place, output in enumerate(outputs) if _shape_of(output) == declared.shape]
    named = [place for place in fitting if declared.name in names[place : place + 1]]
    if len(named) == 1 or len(fitting) == 1:
        return (named or fitting)[0]
    problem = "several outputs fit" if fitting else "no output fits"
    raise LoadFailure(
        f"{problem} the output {shape_words(declared.shape)} that model.yaml declares; "
        f"the file has {describe_outputs(names, outputs)}; correct output.shape or output.name"
    )


def describe_outputs(names: Sequence[str], outputs: Sequence[Any]) -> str:
    """Return names and shapes of outputs for a message."""
    found = map(_shape_of, outputs)
    shapes = ["no array" if shape is None else shape_words(shape) for shape in found]
    return ", ".join(f"{name!r} {shape}" for name, shape in zip(names, shapes)) or ", ".join(shapes)


def _shape_of(output: Any) -> tuple[int, ...] | None:
    """Return the shape of an output, or None for an output that is no array."""
    shape = getattr(output, "shape", None)
    return None if shape is None else tuple(shape)


def shape_words(sizes: Sequence[int | None]) -> str:
    """Return a shape for a message, with ? for an open size."""
    return "[" + ", ".join("?" if size is None else str(size) for size in sizes) + "]"


def _family(dtype: str) -> str:
    return next((family for family in _FAMILIES if dtype.startswith(family)), dtype)


def _mistake(sizes: Sequence[int | None], wanted: Sequence[int]) -> str:
    """Return what is wrong with a declared shape, by the mistakes that people make most, or ""."""
    sizes, wanted = list(sizes), list(wanted)
    if len(sizes) == len(wanted) and None not in sizes and sorted(map(str, sizes)) == sorted(map(str, wanted)):
        return " (the same sizes in another order, as channels first and channels last are)"
    if len(sizes) == len(wanted) + 1 and all(size in (None, given) for size, given in zip(sizes[1:], wanted)):
        return " (without the first size, the batch)"
    if len(wanted) == len(sizes) + 1 and all(size in (None, given) for size, given in zip(sizes, wanted[1:])):
        return " (with one size too many in front, as of a batch)"
    return ""


def _contradiction(name: str, found: str, wanted: str, mistake: str = "") -> LoadFailure:
    return LoadFailure(
        f"input {name!r} is {found} in the file, and model.yaml declares {wanted}{mistake}; "
        f"correct input there, or declare this input by its name under inputs"
    )
