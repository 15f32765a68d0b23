"""Turn a section of a file into a JSON Schema. Descriptions are the texts below the section's fields."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from orchestrator.specs.conditions import ABOUT
from orchestrator.specs.schema import Section

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS = "#/$defs/"


class _Generator(GenerateJsonSchema):
    """Make schemas in which a mapping's keys are checked too."""

    def dict_schema(self, schema: core_schema.DictSchema) -> dict[str, Any]:
        """Return the schema of a mapping."""
        # Pydantic's own lets keys pass that match no pattern.
        found: dict[str, Any] = {"type": "object"}
        if "values_schema" in schema:
            found["additionalProperties"] = self.generate_inner(schema["values_schema"])
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        if set(keys) - {"type"}:
            found["propertyNames"] = keys
        if schema.get("min_length"):
            found["minProperties"] = schema["min_length"]
        return found


def schema_of(section: type[Section]) -> dict[str, Any]:
    """Return the JSON Schema of a whole file."""
    schema = section.model_json_schema(schema_generator=_Generator)
    found = {"$schema": DIALECT, **schema}
    by_name = {one.__name__: one for one in _sections(section)}
    for name, definition in ((section.__name__, found), *found.get("$defs", {}).items()):
        _describe(definition, by_name.get(name))
    return found


def resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema, behind its reference."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**root["$defs"][str(reference).removeprefix(_DEFINITIONS)], **schema}


def _describe(definition: dict[str, Any], section: type[Section] | None) -> None:
    definition.pop("title", None)
    texts = {} if section is None else _descriptions(section)
    for name, found in definition.get("properties", {}).items():
        found.pop("title", None)
        # What is left out of a section has the defaults of its own keys.
        if isinstance(found.get("default"), dict):
            del found["default"]
        if name in texts:
            found["description"] = texts[name]


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    """Yield every section that is defined."""
    yield section
    known = [Section]
    for one in known:
        known += one.__subclasses__()
    yield from known


@functools.cache
def _descriptions(section: type[Section]) -> Mapping[str, str]:
    """Return the text below each field of a section, by key."""
    found = dict(ABOUT)
    for one in reversed(section.__mro__):
        if issubclass(one, Section) and one is not Section and one.__module__ != "pydantic.main":
            found |= _written_in(one)
    aliases = {name: field.alias or name for name, field in section.model_fields.items()}
    return {aliases[name]: text for name, text in found.items() if name in aliases}


def _written_in(section: type[Section]) -> Mapping[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(section))
    except (OSError, TypeError):  # a class that is made, such as that of the conditions
        return {}
    (declared,) = ast.parse(source).body
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for field, text in zip(declared.body, declared.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            found[field.target.id] = str(text.value.value)
    return found
