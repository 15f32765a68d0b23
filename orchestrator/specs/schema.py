"""Check a document against a pydantic schema, and complain with the file's line, key and the nearest valid key."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.specs.document import Document, Place, read_document, reads_as_number

_T = TypeVar("_T")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Section(BaseModel):
    """Declare a part of a file. Unknown keys are refused, and no value is converted to another type."""

    # strict: a conversion would hide a mistake, such as a version 3.10 without quotes, which YAML reads as 3.1.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    advice: ClassVar[Mapping[str, str]] = {}
    """Hints for wrong keys that people are likely to try, by key."""


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Hold a mistake in a file: the place, a message, and a hint for the remedy."""

    place: Place
    message: str
    hint: str | None = None


class Refused(ValueError):
    """Raised by a validator for a wrong value, with a hint for the remedy."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def refusing(check: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Return `check` as a pydantic validator, which raises Refused instead of ConfigError."""
    # Pydantic collects a ValueError with all other complaints, and would let a ConfigError through alone.

    def validator(value: Any) -> _T:
        try:
            return check(value)
        except ConfigError as error:
            raise Refused(error.message, error.hint) from None

    return validator


def load_section(path: Path, schema: type[SectionT]) -> tuple[SectionT, Document]:
    """Read and check a file. Raise a single ConfigError with all complaints."""
    document = read_document(path)
    return check_section(document, schema), document


def check_section(
    document: Document, schema: type[SectionT], further: Callable[[], Iterable[Complaint]] = tuple
) -> SectionT:
    """Return a document's data as values of the schema. Raise a single ConfigError with all complaints.

    `further` finds what else is wrong with data that the schema refuses.
    """
    try:
        return schema.model_validate(document.data)
    except ValidationError as error:
        complaints = [_translate(dict(detail), document, schema) for detail in error.errors(include_url=False)]
        told = {one.place for one in complaints}
        raise refuse(document, [*complaints, *(one for one in further() if one.place not in told)]) from None


def refuse(document: Document, complaints: Sequence[Complaint]) -> ConfigError:
    """Return the error with all complaints in the order of the file. The hint of a single complaint stays apart."""
    # A set, since the branches of a union may complain of the same mistake.
    ordered = sorted(
        set(complaints), key=lambda one: (document.lines.get(document.existing(one.place), 1), one.message)
    )
    if len(ordered) == 1:
        only = ordered[0]
        return ConfigError(f"{document.where(only.place)}: {only.message}", hint=only.hint)
    lines = (f"{document.where(one.place)}: {one.message}{f' ({one.hint})' if one.hint else ''}" for one in ordered)
    return ConfigError("\n".join(lines))


def _translate(detail: dict[str, Any], document: Document, schema: type[Section]) -> Complaint:
    kind, place = str(detail["type"]), tuple(detail["loc"])
    found = document.existing(place)
    if kind == "extra_forbidden":
        return _unknown_key(found, schema)
    if kind == "missing":
        inside = f" in {words_of(found)}" if found else ""
        return Complaint(found, f"missing key {quoted(place[-1])}{inside}")
    if detail["input"] is None and place and ":" in str(place[-1]):
        # YAML takes `{variant:int8}` for a key without a value.
        name, _, value = str(place[-1]).partition(":")
        message = f"{words_of(found)}: no blank stands behind the colon, so that all of it is a key"
        return Complaint(found, message, f"write {name}: {value.strip() or '…'}")
    if kind == "value_error":
        return _refused(found, detail["ctx"]["error"])
    given, written = detail["input"], document.scalar(found)
    if _is_endless(kind, given):
        return Complaint(
            found, f"{words_of(found)}: a number of {len(given)} digits is too large", "write fewer digits"
        )
    message = f"{words_of(found)}: {_expectation(kind, detail)}{_got(kind, detail, written)}"
    return Complaint(found, message, _remedy(kind, given, written))


def _is_endless(kind: str, given: Any) -> bool:
    """Return True for a number of very many digits: such a number is read as text, and has no quotes to remove."""
    is_number = kind in {"int_type", "float_type"} and isinstance(given, str) and _is_number(given)
    return is_number and not reads_as_number(given)


def _remedy(kind: str, given: Any, written: str | None) -> str | None:
    if kind == "string_type" and isinstance(given, int | float):
        return "put it in quotes"
    if kind in {"int_type", "float_type"} and isinstance(given, str) and _is_number(given):
        return "remove the quotes"
    if kind == "list_type" and written:
        return f"write a list: [{', '.join(written.replace(',', ' ').split())}]"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unknown_key(place: Place, schema: type[Section]) -> Complaint:
    key = str(place[-1])
    sections = list(_sections_at(schema, place[:-1]))
    advice = next((section.advice[key] for section in sections if key in section.advice), None)
    known = [name for section in sections for name in _field_names(section)]
    inside = f" in {words_of(place[:-1])}" if place[:-1] else ""
    return Complaint(place, f"unknown key {quoted(key)}{inside}", advice or did_you_mean(key, known))


def _refused(place: Place, error: Exception) -> Complaint:
    message, hint = (error.message, error.hint) if isinstance(error, Refused) else (str(error), None)
    return Complaint(place, f"{words_of(place)}: {message}" if place else message, hint)


_EXPECTATIONS = {
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty",
    "literal_error": "expected {expected}",
}


def _expectation(kind: str, detail: Mapping[str, Any]) -> str:
    pattern = _EXPECTATIONS.get(kind)
    if pattern is None:
        return str(detail["msg"])
    bounds = detail.get("ctx", {})
    return pattern.format(**{name: _plain(at) for name, at in bounds.items()})


def _plain(bound: Any) -> Any:
    """Return a bound as people write the bound."""
    # Pydantic has the bound of a number with a fraction as 100.0.
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _got(kind: str, detail: Mapping[str, Any], written: str | None) -> str:
    value = detail["input"]
    if kind == "too_short":
        return ""
    if value is None:
        return ", not nothing"
    # Never the whole value: a mapping may be half of the file.
    if isinstance(value, dict | list):
        return f", not a {'mapping' if isinstance(value, dict) else 'list'}"
    shown = repr(value) if isinstance(value, str) or written is None else written
    return f", not {shown}"[:120]  # a value may be a megabyte long


def words_of(place: Place) -> str:
    """Return a place as text for people: `devices.pi-03.port`, `runtimes[1]`."""
    words = ""
    for step in place:
        if isinstance(step, int) or _PLAIN_KEY.fullmatch(step) is None:
            words += f"[{quoted(step)}]"
        else:
            words += f".{step}" if words else step
    return words or "the file"


def _sections_at(annotation: Any, place: Place) -> Iterator[type[Section]]:
    """Yield the sections that the schema allows at a place."""
    if isinstance(annotation, TypeVar):
        return
    if get_origin(annotation) is Annotated:
        yield from _sections_at(get_args(annotation)[0], place)
    elif get_origin(annotation) in {Union, types.UnionType}:
        for option in get_args(annotation):
            yield from _sections_at(option, place)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        if not place:
            yield annotation
        else:
            for name, field in annotation.model_fields.items():
                if (field.alias or name) == place[0]:
                    yield from _sections_at(field.annotation, place[1:])
    elif place and get_origin(annotation) in {dict, list}:
        yield from _sections_at(get_args(annotation)[-1], place[1:])


def _field_names(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]
