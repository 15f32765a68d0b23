"""Write the values of a build into model.yaml. Comments, order and layout stay as people wrote them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from orchestrator.domain.errors import ConfigError

Place = tuple[str, ...]


def edit_values(file: Path, values: Mapping[Place, str]) -> str:
    """Return the text of a YAML file with new values. Raise ConfigError for a place without a value."""
    try:
        # Bytes, since `read_text` would turn a file's CRLF into LF.
        return replace_values(file.read_bytes().decode("utf-8"), values)
    except KeyError as missing:
        raise ConfigError(f"{file}: {missing.args[0]} is not written there, so it cannot be updated") from None


def place_of_hash(file: Path, variant: str, format_: str) -> Place:
    """Return the place of an artifact's hash: under the format, or at the variant in the short form."""
    root = yaml.compose(file.read_bytes().decode("utf-8"), Loader=yaml.SafeLoader)
    place = ("variants", variant, "artifacts", format_, "sha256")
    try:
        _scalar(root, place)
    except KeyError:
        return ("variants", variant, "sha256")
    return place


def record_build(file: Path, text: str) -> None:
    """Replace a file by `text`, atomically, and keep its mode."""
    incoming = file.with_name(f".{file.name}.{os.getpid()}.incoming")
    try:
        incoming.write_bytes(text.encode("utf-8"))
        shutil.copymode(file, incoming)
        incoming.replace(file)
    finally:
        incoming.unlink(missing_ok=True)


def replace_values(text: str, values: Mapping[Place, str]) -> str:
    """Return YAML text with the scalars at some places replaced. Every other character stays.

    A quoted scalar keeps its quotes. Raise KeyError, with the place in words, for a place without a scalar.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    # Replaced in the text, not dumped anew: a dump would lose the comments.
    edits = [(_scalar(root, place), value) for place, value in values.items()]
    # From the end on, so that the marks of earlier scalars stay right.
    for node, value in sorted(edits, key=lambda edit: edit[0].start_mark.index, reverse=True):
        quote = node.style if node.style in ("'", '"') else ""
        text = text[: node.start_mark.index] + quote + value + quote + text[node.end_mark.index :]
    return text


def _scalar(root: yaml.Node | None, place: Place) -> yaml.ScalarNode:
    node = root
    for key in place:
        if not isinstance(node, yaml.MappingNode):
            raise KeyError(".".join(place))
        node = next((value for name, value in node.value if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode):
        raise KeyError(".".join(place))
    return node
