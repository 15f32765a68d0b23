"""The JSON Schemas that editors use: examples pass, and what is refused by us is refused there, or listed as beyond.

`beyond-schemas.txt` names every bad file that a schema lets pass: names in other files, hashes, sums of several keys.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.resources import KINDS, schema_file
from orchestrator.settings import render_settings_file
from orchestrator.specs.document import read_document
from reference.__main__ import written_files

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
FOLDERS = {"sweeps": "sweep", "inventories": "inventory", "models": "model"}
EXAMPLES = [
    *((path, "sweep") for path in sorted((REPOSITORY / "sweeps").rglob("*.yaml"))),
    *((path, "inventory") for path in sorted((REPOSITORY / "inventory").glob("*.yaml"))),
    *((path, "model") for path in sorted((REPOSITORY / "models").glob("*/model.yaml"))),
    (REPOSITORY / "nightly.yaml", "nightly"),
    *((path, FOLDERS[path.relative_to(HERE / "good").parts[0]]) for path in sorted((HERE / "good").rglob("*.yaml"))),
]


@cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(schema_file(kind).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def complaints(kind: str, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in validator(kind).iter_errors(data)]


def test_pages_and_schemas_are_those_of_the_code() -> None:
    for path, text in written_files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: python -m reference"


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained(kind: str) -> None:
    schema = json.loads(schema_file(kind).read_text(encoding="utf-8"))
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, found in part.get("properties", {}).items():
            assert found.get("description"), f"{kind}: {name}"


@pytest.mark.parametrize(("path", "kind"), EXAMPLES, ids=lambda one: str(one)[-50:])
def test_every_example_passes(path: Path, kind: str) -> None:
    assert complaints(kind, read_document(path).data) == []


@pytest.mark.parametrize(("path", "kind"), EXAMPLES[: len(EXAMPLES) - len(list((HERE / "good").rglob("*.yaml")))])
def test_every_shipped_example_names_its_schema_by_a_path_that_exists(path: Path, kind: str) -> None:
    line = path.read_text(encoding="utf-8").split("\n")[0]
    named = line.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == schema_file(kind).resolve()


def test_the_settings_of_a_new_lab_pass_with_every_line_switched_on() -> None:
    lines = render_settings_file().split("\n")
    assert lines[0] == "#:schema schemas/settings.schema.json"
    settings = tomllib.loads("\n".join(line.lstrip("#") for line in lines if line[:1] == "#" and line[1:2].isalpha()))
    assert complaints("settings", settings) == []
    assert complaints("settings", {"heartbeat_s": "15"})
    assert complaints("settings", {"executor": "thread"})
    assert complaints("settings", {"executer": "threads"})


def test_what_is_refused_is_refused_by_the_schema_or_listed_as_beyond_it() -> None:
    passing = []
    for path in sorted((HERE / "bad").rglob("*.yaml")):
        try:
            data = read_document(path).data
        except ConfigError:  # no YAML, or YAML beyond what we read
            continue
        name = path.relative_to(HERE / "bad")
        if not complaints(FOLDERS[name.parts[0]], data):
            passing.append(str(name))
    listed = (HERE / "beyond-schemas.txt").read_text(encoding="utf-8").split()
    assert passing == listed
