"""Declare the inputs of a model, and hold a declaration to the file that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.model import ModelInput
from orchestrator.domain.quoting import quoted
from orchestrator.specs.array_file import TEXT, ArrayHeader, BadArrayFile, read_header
from orchestrator.specs.document import Place
from orchestrator.specs.paths import open_below
from orchestrator.specs.reach import OWN_FOLDER
from orchestrator.specs.schema import Complaint, Refused, Section, words_of
from orchestrator.specs.words import Text, pattern


def _is_inside(path: str) -> str:
    # NUL too, which open() refuses with a ValueError where callers expect an OSError.
    if not path or path.startswith(("/", "~")) or "\0" in path or ".." in path.split("/"):
        raise Refused(f"{quoted(path)} is not a path inside the model's folder")
    return path


InsidePath = Annotated[str, AfterValidator(_is_inside), pattern(r"(?![/~])(?!(?:.*/)?\.\.(?:/|$)).+")]
Dtype = Literal[
    "float32", "float16", "int8", "uint8", "int16", "int32", "int64", "float64", "bool", "uint16", "uint32", "uint64",
    "string",
]  # fmt: skip
"""Name a type of inputs. Random numbers fill all but text, which takes a data set or a file."""

Sizes = list[Annotated[int, Field(ge=1)]]

_FAMILIES = ("float", "uint", "int", "bool", TEXT)
_DIGITS_TO_TRUTH = ("int", "uint")
"""Families of numbers that may stand for truth values, 0 and 1."""


class InputSection(Section):
    """Declare an input. The empty shape is a single number's."""

    advice: ClassVar[Mapping[str, str]] = {"path": "did you mean 'file'?"}

    shape: Sizes | None = None
    """The sizes of the input. They settle the sizes that a model's file leaves open. Required without `file`."""
    dtype: Dtype | None = None
    """The type of the input. Required without `file`."""
    low: float | None = None
    """The least random number. Required, but for text and with `file`."""
    high: float | None = None
    """The bound of random numbers, which is left out. Required as `low` is."""
    from_output: Text | None = None
    """The output that comes back as this input: a state, which begins with zeros. Of inputs by name alone."""
    file: InsidePath | None = None
    """An .npy or .npz file with the input, or with several of them in a row, in place of random numbers."""


def wrong_input(place: Place, declared: InputSection) -> Iterator[Complaint]:
    """Yield what is missing of a declaration, and what contradicts itself."""
    if declared.file is not None:
        beside = [key for key in ("low", "high", "from_output") if getattr(declared, key) is not None]
        if beside:
            words = f"{words_of(place)} has `file`, and {quoted(beside[0])} beside it"
            yield Complaint((*place, beside[0]), words, "keep one of the two")
        return
    is_text = declared.dtype == TEXT
    wanted = ("shape", "dtype") if is_text else ("shape", "dtype", "low", "high")
    for key in wanted:
        if getattr(declared, key) is None:
            yield Complaint(place, f"missing key {quoted(key)} in {words_of(place)}")
    if declared.low is not None and declared.high is not None and declared.low >= declared.high:
        yield Complaint((*place, "low"), f"low {declared.low:g} is not below high {declared.high:g}")


def wrong_file(directory: Path, place: Place, declared: InputSection, *, verify: bool) -> Iterator[Complaint]:
    """Yield why a file may not be sent, holds no array, or holds another one than is declared.

    Without `verify` a file may be gone, if the declaration alone tells shape and type.
    """
    if declared.file is None:
        return
    file, at = directory / declared.file, (*place, "file")
    objection = OWN_FOLDER.objection_to_file(file, directory)
    if objection is not None:
        yield Complaint(at, f"{objection[0]}: files of inputs lie below the folder of the model")
        return
    try:
        found = _header(directory, declared.file, _name_in(place))
    except OSError as error:
        if verify or declared.shape is None or declared.dtype is None:
            yield Complaint(at, f"{file} cannot be read: {error.strerror}")
    except BadArrayFile as error:
        yield Complaint(at, f"{file}: {error}")
    else:
        yield from _contradictions(place, declared, found)


def model_input(declared: InputSection, directory: Path, name: str | None) -> ModelInput:
    """Return a checked declaration. Shape and type come from the file where nothing else is said."""
    shape, dtype = declared.shape, declared.dtype
    if declared.file is not None and (shape is None or dtype is None):
        found = _header(directory, declared.file, name)
        shape = list(found.shape) if shape is None else shape
        dtype = dtype or found.dtype  # type: ignore[assignment]  # each type of a header is one of `Dtype`
    assert shape is not None
    assert dtype is not None
    file = None if declared.file is None else str(directory / declared.file)
    is_drawn = dtype != TEXT and file is None
    low, high = (declared.low, declared.high) if is_drawn else (None, None)
    return ModelInput(tuple(shape), dtype, low, high, declared.from_output, file)


def _name_in(place: Place) -> str | None:
    return str(place[1]) if place[0] == "inputs" else None


def _header(directory: Path, file: str, name: str | None) -> ArrayHeader:
    with open_below(directory, directory / file) as stream:
        return read_header(stream, name)


def _contradictions(place: Place, declared: InputSection, found: ArrayHeader) -> Iterator[Complaint]:
    if declared.shape is not None and not _holds(found.shape, tuple(declared.shape)):
        words = f"{words_of(place)}: the file has an array of {list(found.shape)}, and the input is {declared.shape}"
        hint = "the file holds an input of that shape, or several in a row, with their number in front"
        yield Complaint((*place, "file"), words, hint)
    if declared.dtype is not None and not _is_alike(found.dtype, declared.dtype):
        words = f"{words_of(place)}: the file has {found.dtype}, and the input is {declared.dtype}"
        yield Complaint((*place, "file"), words, f"save the array as that: x.astype({_numpy_name(declared.dtype)})")


def _holds(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Return True if an array is an input of a shape, or several in a row: the worker takes no other."""
    return (
        found == shape
        or (len(found) == len(shape) + 1 and found[1:] == shape)
        or (len(found) == len(shape) and shape[:1] == (1,) and found[1:] == shape[1:])
    )


def _is_alike(found: str, declared: str) -> bool:
    # Other widths are converted. The preflight refuses numbers that the model's type does not hold.
    return _family(found) == _family(declared) or (declared == "bool" and _family(found) in _DIGITS_TO_TRUTH)


def _family(dtype: str) -> str:
    return next(family for family in _FAMILIES if dtype.startswith(family))


def _numpy_name(dtype: str) -> str:
    return "str" if dtype == TEXT else quoted(dtype)
