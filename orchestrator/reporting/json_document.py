"""Write docs/json.md and the JSON Schema from the declared shapes: python -m orchestrator.reporting.json_document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from orchestrator.reporting.formats import FORMATS
from orchestrator.reporting.reports.catalogue import COMMANDS, PAGES
from orchestrator.reporting.reports.failure import all_codes
from orchestrator.reporting.shape import DEFINITIONS, Schema, Shape, View, all_views

_HEAD = """\
# What programs read

Written by `python -m orchestrator.reporting.json_document` from the declarations in `orchestrator/reporting/reports/`.

Every command that prints data has `--format`:

{formats}

A command refuses a format that it has nothing for before it does anything (exit code 2).

Keys, words and error codes on this page are public. They keep their names and meanings; a later version may add more,
so a program should ignore keys that it does not know. [json.schema.json](json.schema.json) is the JSON Schema: the
answer of `benchfleet runs list --json` is `#/$defs/command:runs-list`.

Times are ISO 8601 in UTC. Units are the ends of names. A value that nobody measured is null, and so is NaN. Control
characters in text are written as `\\uXXXX`.

`benchfleet sql --format json` prints an array of objects with the statement's columns as keys; the second of two
columns of one name gets a number, as in `p50_2`. Rows of `json`, `csv` and `markdown` are printed while they come.

In JUnit output a suite is a device of a run, or a group of a comparison. A trial that failed or broke a condition is a
failure, and so is a cell of a comparison with a reason for `--fail-on-regression` to exit with 1. A comparison of
nothing is a failure of its own suite. A device that failed, and a trial that never ran, are errors. Cells of a run that
were not planned, trials of rejected cells, and verdicts that are inconclusive or not comparable are skipped.
Of a night a suite is a device. A cell that fails the night is a failure, a device that was lost an error, and a cell
that is suspected, inconclusive, in quarantine, moved by its environment or acknowledged is skipped.

`benchfleet serve` answers under `/api/v1` in the same shapes, for `?format=json`, `csv` and `markdown`;
`/api/v1/openapi.json` describes every path. An error is an [error](#error), with status 404 for a name that leads
nowhere, 422 for an address that makes no sense, 401 without a token, and 503 where the database does not answer.

In Markdown the reasons of a comparison follow the table as a list. A night is a page of its findings by cause; `json`
and `csv` have every cell.
"""

_SHAPES = (*COMMANDS.values(), *PAGES.values())


def json_document() -> str:
    """Return docs/json.md."""
    return "\n".join([*_document()]).rstrip() + "\n"


def json_schema() -> Schema:
    """Return the JSON Schema of every command's answer, with all definitions."""
    views = all_views(shape.json for shape in _SHAPES)
    commands = {definition_of(command): shape.json.schema() for command, shape in COMMANDS.items()}
    definitions = {name: view.definition() for name, view in views.items()}
    pages = {f"page:{path}": shape.json.schema() for path, shape in PAGES.items()}
    known = {**commands, **pages, **definitions}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": known}


def schema_text() -> str:
    """Return docs/json.schema.json, with a line for each definition: diffs stay readable."""
    schema = json_schema()
    lines = (f"  {json.dumps(name)}: {json.dumps(definition)}" for name, definition in schema["$defs"].items())
    joined = ",\n".join(lines)
    return f'{{"$schema": {json.dumps(schema["$schema"])}, "$defs": {{\n{joined}\n}}}}\n'


def definition_of(command: str) -> str:
    """Return the name of a command's answer in the schema."""
    return f"command:{command.replace(' ', '-')}"


def schema_of(command: str) -> Schema:
    """Return the JSON Schema of a command's answer."""
    return {**json_schema(), "$ref": DEFINITIONS + definition_of(command)}


def _document() -> Iterator[str]:
    table = ["| format | what is printed |", "|---|---|"]
    table += [f"| `{name}` | {entry.about} |" for name, entry in FORMATS.items()]
    yield _HEAD.replace("{formats}", "\n".join(table))
    yield "## Commands\n"
    yield "| command | JSON | rows |\n|---|---|---|"
    for command, shape in COMMANDS.items():
        yield f"| `{command}` | {shape.json.words} | {shape.row.words} |"
    yield "\n## Pages\n"
    yield "What the page's interface answers beyond the results of commands.\n"
    yield "| path below /api/v1 | JSON | rows |\n|---|---|---|"
    for path, shape in PAGES.items():
        yield f"| `{path}` | {shape.json.words} | {shape.row.words} |"
    yield "\n## Objects\n"
    for view in all_views(shape.json for shape in _SHAPES).values():
        yield from _section(view)
    yield "## Rows\n"
    for view in _row_views():
        yield from _section(view)
    yield "## Error codes\n\n| code | meaning |\n|---|---|"
    yield from (f"| `{code}` | {_cell(meaning)} |" for code, meaning in all_codes())


def _row_views() -> Iterator[View[object]]:
    """Yield the rows without a section among the objects."""
    known = all_views(shape.json for shape in _SHAPES)
    rows: dict[str, Shape[object]] = {shape.row.name: shape for shape in _SHAPES}
    # A command whose rows are its objects has its section already.
    yield from (shape.row for name, shape in rows.items() if name not in known)


def _section(view: View[object]) -> Iterator[str]:
    yield f"### {view.name}\n\n{view.about}\n"
    yield "| key | value | meaning |\n|---|---|---|"
    yield from (f"| `{key.name}` | {_cell(key.kind.words)} | {_cell(key.meaning)} |" for key in view.keys)
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")  # a bar would end the cell, even inside of backticks


if __name__ == "__main__":
    folder = Path(__file__).parents[2] / "docs"
    (folder / "json.md").write_text(json_document(), encoding="utf-8")
    (folder / "json.schema.json").write_text(schema_text(), encoding="utf-8")
