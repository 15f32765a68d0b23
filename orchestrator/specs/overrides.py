"""Lay values of the command line over a file. The file's text gets the values, and errors name the option."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from orchestrator.domain.errors import ConfigError
from orchestrator.specs.document import Document, Place, parse_document
from orchestrator.specs.schema import words_of

OPTION = "--set"
_MARK = "  # given on the command line"
_EXEC, _ENDPOINT = "exec", "endpoint"


@dataclass(frozen=True, slots=True)
class _Override:
    """Hold a value for a key of the file. `words` is the option as typed."""

    words: str
    place: tuple[str, ...]
    value: Document


def overridden(document: Document, settings: Sequence[str]) -> Document:
    """Return a document with other values, each given as `KEY=VALUE`: a dotted key, and a value in YAML.

    The text keeps its lines. Equal documents and settings give equal texts. Raise ConfigError for a text that is no
    setting.
    """
    if not settings:
        return document
    overrides = [_read(text) for text in settings]
    data = copy.deepcopy(document.data)
    if not isinstance(data, dict):  # the schema complains of such a file
        return document
    for one in overrides:
        _put(data, one, _programs(document.data))
    text = _written(document.text, data, {one.place[0] for one in overrides})
    return replace(
        document, text=text, data=data, lines=_lines(document, overrides), scalars=_scalars(document, overrides),
        origins={one.place: one.words for one in overrides},
    )  # fmt: skip


def _read(text: str) -> _Override:
    key, equals, value = text.partition("=")
    place = tuple(part.strip() for part in key.split("."))
    words = f"{OPTION} {text}"
    if not equals or not all(place):
        raise ConfigError(f"{words}: expected KEY=VALUE", hint=f"such as {OPTION} trials=10, or measure.seconds_max=5")
    # An empty value is YAML's null.
    return _Override(words, place, parse_document(value if value.strip() else "~", words))


def _put(data: dict[str, Any], one: _Override, programs: Mapping[str, Any]) -> None:
    inner = data
    for index, step in enumerate(one.place[:-1], 1):
        below = inner.setdefault(step, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{one.words}: {words_of(one.place[:index])} has no keys below it")
        inner = below
    value = one.value.data
    if one.place == ("runtimes",) and isinstance(value, list):
        # A program is declared by several lines, which nobody types again.
        value = [programs.get(name, name) if isinstance(name, str) else name for name in value]
    inner[one.place[-1]] = value


def _programs(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the programs and servers that a sweep declares among its runtimes, by label."""
    entries = data.get("runtimes")
    declared = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    found = {}
    for form in (_EXEC, _ENDPOINT):
        for one in (entry[form] for entry in declared if isinstance(entry.get(form), dict)):
            name = one.get("name", one.get("protocol"))
            if name is not None:
                found[f"{form}/{name}"] = {form: one}
    return found


def _lines(document: Document, overrides: Sequence[_Override]) -> dict[Place, int]:
    lines = {place: line for place, line in document.lines.items() if not _is_below(place, overrides)}
    for one in overrides:
        for end in range(1, len(one.place)):
            lines.setdefault(one.place[:end], 1)
        lines |= {(*one.place, *place): lines.get(one.place[:1], 1) for place in one.value.lines}
    return lines


def _scalars(document: Document, overrides: Sequence[_Override]) -> dict[Place, str]:
    scalars = {place: text for place, text in document.scalars.items() if not _is_below(place, overrides)}
    for one in overrides:
        scalars |= {(*one.place, *place): text for place, text in one.value.scalars.items()}
    return scalars


def _is_below(place: Place, overrides: Sequence[_Override]) -> bool:
    return any(place[: len(one.place)] == one.place for one in overrides)


def _written(text: str, data: Mapping[str, Any], keys: Collection[str]) -> str:
    """Return the text of a file with new values at some top-level keys. The other lines stay as people wrote them."""
    written = _with_blocks(text, data, keys)
    # An anchor may have stood in a replaced line, or a value may come from a merged mapping.
    if written is None or not _means(written, data):
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    return written


def _means(text: str, data: Mapping[str, Any]) -> bool:
    try:
        # As text, since 1, 1.0 and true are equal in Python.
        return json.dumps(parse_document(text, "").data, sort_keys=True) == json.dumps(data, sort_keys=True)
    except ConfigError:
        return False


def _with_blocks(text: str, data: Mapping[str, Any], keys: Collection[str]) -> str | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    lines = text.split("\n")
    begins = [node.start_mark.line for node, _ in root.value]
    names = [str(node.value) for node, _ in root.value]
    for place in reversed(range(len(names))):
        if names[place] in keys:
            end = begins[place + 1] if place + 1 < len(names) else len(lines)
            # Comments and blank lines at the end belong to what follows.
            while end > begins[place] + 1 and lines[end - 1][:1] in ("", "#", ".", "\r"):
                end -= 1
            # As many lines as before, so that complaints about the rest name the file's lines.
            lines[begins[place] : end] = [_line(names[place], data), *["#"] * (end - begins[place] - 1)]
    added = [_line(key, data) for key in data if key in keys and key not in names]
    return "\n".join((*lines, *added, "")) if added else "\n".join(lines)


def _line(key: str, data: Mapping[str, Any]) -> str:
    name = key if key.isidentifier() else json.dumps(key, ensure_ascii=False)
    return f"{name}: {json.dumps(data[key], ensure_ascii=False)}{_MARK}"
