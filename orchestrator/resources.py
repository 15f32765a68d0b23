"""Find the files shipped with the package: migrations, models, sweeps, inventories, schemas and a nightly."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_ABOVE_MAX = 3
"""How far above a file the folder of its lab may be."""


SCHEMAS = "schemas"
KINDS = ("inventory", "sweep", "model", "recipe", "nightly", "settings")
"""The kinds of files with a JSON Schema."""


def schema_file(kind: str) -> Path:
    """Return the file of the JSON Schema of a kind of file."""
    return shipped(SCHEMAS) / f"{kind}.schema.json"


def schema_line(folder: Path, kind: str) -> str:
    """Return the line by which editors find the JSON Schema of a YAML file in `folder`."""
    here = folder.absolute()
    for above in (here, *here.parents[:_ABOVE_MAX]):
        near = above / SCHEMAS / f"{kind}.schema.json"
        # A lab's own copy first: a relative path means the same on every machine.
        if near.is_file():
            return f"# yaml-language-server: $schema={os.path.relpath(near, here)}"
    return f"# yaml-language-server: $schema={schema_file(kind)}"


def shipped(name: str) -> Path:
    """Return a shipped folder or file by name. Raise FileNotFoundError if the name did not come along."""
    # An installed package has what is shipped inside (see pyproject.toml), a source checkout at the top.
    installed = _PACKAGE / "shipped" / name
    if installed.exists():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).exists():
        return checkout / name
    raise FileNotFoundError(f"{name} did not come with this installation of benchfleet: {installed} does not exist")
