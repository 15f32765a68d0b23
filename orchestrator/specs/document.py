"""Read a YAML file of people into plain data with line numbers, and refuse a file beyond the bounds.

The bounds stop a hostile or broken file before memory or stack runs out. Scalars follow YAML 1.2 and people's
expectations: `no`, `0-3` and `12:30` are text, `1e3` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import nearest
from orchestrator.domain.quoting import quoted
from orchestrator.specs.paths import refuse_named_pipe

BYTES_MAX = 1 << 20
DEPTH_MAX = 32
NODES_MAX = 50_000

Place = tuple[str | int, ...]
"""A place in a document: keys and list positions from the top."""

_PLAIN = "plain"
_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS: dict[type[yaml.Node], str] = {
    yaml.MappingNode: "tag:yaml.org,2002:map",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
}
_FastestLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml


class _Loader(_FastestLoader):  # type: ignore[misc]
    """Load YAML, and only mark plain scalars. `_meaning` decides the value, by YAML 1.2."""

    def resolve(self, kind: type[yaml.Node], _value: object, implicit: Any) -> str:
        """Return the tag of an untagged node."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return _COLLECTIONS[kind]


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Bounded: int() refuses a text of more than 4,300 digits.
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,4})?")
_MERGE = "<<"
_KNOWN_TAGS = frozenset({_PLAIN, _TEXT, *_COLLECTIONS.values()})


@dataclass(frozen=True, slots=True)
class Document:
    """Hold a parsed file. `source` is the file's name for people, `data` has plain values.

    `lines` maps every key and list entry to a line number from 1, `scalars` every scalar to the text as written.
    `origins` names the option behind each place whose value does not come from the file.
    """

    source: str
    text: str
    data: Any
    lines: Mapping[Place, int]
    scalars: Mapping[Place, str]
    origins: Mapping[Place, str] = field(default_factory=dict)

    def where(self, place: Sequence[str | int] = ()) -> str:
        """Return `file:line` of a place, or the option behind it. Of a missing place, the nearest one around counts."""
        found = self.existing(place)
        options = (self.origins.get(found[:end]) for end in range(len(found), 0, -1))
        return next(filter(None, options), f"{self.source}:{self.lines.get(found, 1)}")

    def existing(self, place: Sequence[str | int]) -> Place:
        """Return a place without the steps that the document does not have."""
        # Pydantic's places have further steps, such as the name of a union's branch.
        found: Place = ()
        for step in place:
            if (*found, step) in self.lines:
                found = (*found, step)
        return found

    def scalar(self, place: Sequence[str | int]) -> str | None:
        """Return a scalar as it was written (`3.10`, `007`), or None if there is none."""
        return self.scalars.get(tuple(place))


def read_document(path: Path) -> Document:
    """Read and parse a file. Raise ConfigError unless the file is a single bounded YAML document in UTF-8."""
    return parse_document(read_text(path), str(path))


def parse_document(text: str, source: str) -> Document:
    """Parse YAML text. `source` names the text in errors. Raise ConfigError with line and hint."""
    if len(text) > BYTES_MAX:
        raise ConfigError(f"{source}: longer than {BYTES_MAX} characters")
    try:
        _check_bounds(text, source)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax_error(error, source) from None
    except UnicodeError as error:
        raise ConfigError(f"{source}: not text: {error}") from None
    if root is None:
        raise ConfigError(f"{source}:1: the file is empty")
    builder = _Builder(source)
    data = builder.build(root, ())
    return Document(source, text, data, builder.lines, builder.scalars)


def read_text(path: Path) -> str:
    """Read a file of a person as text. Raise ConfigError unless the file is bounded text in UTF-8."""
    try:
        refuse_named_pipe(path)
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)  # never more: the path may be a device file without end
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint=_beside(path)) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > BYTES_MAX:
        raise ConfigError(f"{path}: larger than {BYTES_MAX} bytes", hint="is this the right file?")
    try:
        return raw.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text (byte {error.start})") from None


def _beside(path: Path) -> str | None:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"}]
    except OSError:
        return f"there is no folder {path.parent} either"
    close = nearest(path.name, names)
    return f"did you mean {path.parent / close[0]}?" if close else None


def _check_bounds(text: str, source: str) -> None:
    """Refuse a text with too deep nesting or too many entries, before the text is composed."""
    # The composer recurses and would exhaust the stack. The parser's events need constant memory.
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise ConfigError(f"{source}:{_line(event)}: nested more than {DEPTH_MAX} deep")
        if count > NODES_MAX:
            raise ConfigError(f"{source}:{_line(event)}: more than {NODES_MAX} entries")


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


def _syntax_error(error: yaml.YAMLError, source: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    context = getattr(error, "context", None)
    words = f"{context}, {problem}" if context and problem.startswith("but ") else problem
    if mark is None:
        return ConfigError(f"{source}:1: not valid YAML: {words}")
    hint = "is there a tab? YAML is indented with spaces" if "cannot start any token" in words else None
    return ConfigError(f"{source}:{mark.line + 1}: not valid YAML: {words} (column {mark.column + 1})", hint=hint)


class _Builder:
    """Turn YAML nodes into plain data. Aliases are written out, within the same bounds."""

    def __init__(self, source: str) -> None:
        self.lines: dict[Place, int] = {}
        self.scalars: dict[Place, str] = {}
        self._source = source
        self._count = 0

    def build(self, node: yaml.Node, place: Place) -> Any:
        self._count += 1  # again, since aliases of aliases grow a few lines into billions of entries
        if self._count > NODES_MAX:
            raise self._error(node, f"more than {NODES_MAX} entries once its aliases are written out")
        if len(place) > DEPTH_MAX:
            raise self._error(node, f"nested more than {DEPTH_MAX} deep")
        self.lines.setdefault(place, _line(node))  # a value of a mapping has the line of its key
        if node.tag not in _KNOWN_TAGS:
            raise self._error(node, f"the tag {quoted(node.tag)} is not supported")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        self.scalars[place] = str(node.value)
        return _meaning(node.value) if node.tag == _PLAIN else str(node.value)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for name, key, value in self._own_pairs(node):
            if name in pairs:
                first = _line(pairs[name][0])
                raise self._error(key, f"key {quoted(name)} is there twice; first at line {first}")
            pairs[name] = key, value
        for name, key, value in self._merged_pairs(node, len(place)):
            pairs.setdefault(name, (key, value))  # a key of the mapping itself wins over a merged key
        data = {}
        for name, (key, value) in pairs.items():
            self.lines[(*place, name)] = _line(key)  # the key's line: a value may begin on a later line
            data[name] = self.build(value, (*place, name))
        return data

    def _own_pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        for key, value in node.value:
            if not _is_merge(key):
                yield self._key(key), key, value

    def _merged_pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        for key, value in node.value:
            if not _is_merge(key):
                continue
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self._count += 1
                if depth > DEPTH_MAX or self._count > NODES_MAX:
                    raise self._error(key, "merges without end")
                if not isinstance(merged, yaml.MappingNode):
                    raise self._error(key, f"{_MERGE} takes a mapping, or a list of mappings")
                yield from self._own_pairs(merged)
                yield from self._merged_pairs(merged, depth + 1)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or (node.tag == _PLAIN and node.value in _NULL):
            raise self._error(node, "a key must be text")
        return str(node.value)

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(f"{self._source}:{_line(node)}: {message}")


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.tag == _PLAIN and key.value == _MERGE


def reads_as_number(text: str) -> bool:
    """Say whether text without quotes means a number."""
    return _NUMBER.fullmatch(text) is not None


def _meaning(text: str) -> str | int | float | bool | None:
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
