"""The published JSON Schema of each command's answer."""

from __future__ import annotations

from functools import cache

import jsonschema

from orchestrator.reporting.json_document import schema_of


@cache
def validator_of(command: str) -> jsonschema.Draft202012Validator:
    """Return what validates an answer of the command.

    `jsonschema.validate` would check the schema itself each time, which takes longer than the answers do.
    """
    return jsonschema.Draft202012Validator(schema_of(command))
