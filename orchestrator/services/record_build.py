"""Write what a build gave into model.yaml, and leave everything that people wrote there as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from orchestrator.domain.errors import ConfigError

Place = tuple[str, ...]


def edit_values(file: Path, values: Mapping[Place, str]) -> str:
    """Return what a YAML file will say with these values; raise ConfigError where it has no such value now."""
    try:
        return replace_values(file.read_bytes().decode("utf-8"), values)
    except KeyError as missing:
        raise ConfigError(f"{file}: {missing.args[0]} is not written there, so it cannot be updated") from None


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
    """Return YAML text with the scalars at these places replaced; every other character stays where it was.

    A quoted scalar keeps its quotes. Raise KeyError, with the place in words, if there is no scalar at one of them.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = [(_scalar(root, place), value) for place, value in values.items()]
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
