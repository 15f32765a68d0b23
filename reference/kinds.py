"""List the kinds of files that people write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from orchestrator.inventory.schema import InventorySection
from orchestrator.settings import OPTIONS, ExecutorKind, LogLevel, Option
from orchestrator.specs.model import ModelSection
from orchestrator.specs.nightly_schema import NightlySection
from orchestrator.specs.recipe import RecipeSection
from orchestrator.specs.schema import Section
from orchestrator.specs.sweep_schema import SweepSection
from reference.sections import DIALECT, schema_of

_SECTIONS: Mapping[str, type[Section]] = {
    "inventory": InventorySection,
    "sweep": SweepSection,
    "model": ModelSection,
    "recipe": RecipeSection,
    "nightly": NightlySection,
}
_CHOICES = {"executor": ExecutorKind, "log_level": LogLevel}


_HOURS = {"type": "string", "pattern": r"^\d\d:\d\d-\d\d:\d\d$"}
_WINDOW = {
    "type": "object",
    "additionalProperties": False,
    "required": ["hours"],
    "properties": {
        "hours": {**_HOURS, "description": "When the window opens and closes, such as 22:00-06:00."},
        "zone": {"type": "string", "description": "The time zone, such as Europe/Berlin; else this machine's."},
        "users": {"type": "array", "items": {"type": "string"}, "description": "Who may use the devices meanwhile."},
        "select": {"type": "string", "description": "The devices, as --select means them; else all."},
    },
}


def schemas() -> Mapping[str, Mapping[str, Any]]:
    """Return the JSON Schema of each kind of file."""
    found = {kind: schema_of(section) for kind, section in _SECTIONS.items()}
    # A device of which nothing is said but the name.
    devices = found["inventory"]["properties"]["devices"]
    devices["additionalProperties"] = {"anyOf": [devices["additionalProperties"], {"type": "null"}]}
    return {**found, "settings": _settings()}


def _settings() -> Mapping[str, Any]:
    return {
        "$schema": DIALECT,
        "title": "benchfleet.toml",
        "description": "Settings of benchfleet.",
        "type": "object",
        "additionalProperties": False,
        "properties": {option.key: {**_setting(option), "description": option.purpose} for option in OPTIONS},
    }


def _setting(option: Option) -> Mapping[str, Any]:
    """Return the schema of a setting's value. The example says the type."""
    (value,) = tomllib.loads(f"value = {option.example}").values()
    default = {} if option.default is None else {"default": option.default}
    text: dict[str, Any] = {"type": "string", "pattern": r"\S"}
    if option.key in _CHOICES:
        text = {"type": "string", "enum": [choice.value for choice in _CHOICES[option.key]]}
    if isinstance(value, list):
        return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}], **default}
    if isinstance(value, dict):
        return {"type": "object", "additionalProperties": {"anyOf": [_HOURS, _WINDOW]}}
    if isinstance(value, int):
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 3600, "default": float(option.default or value)}
    return {**text, **default}
