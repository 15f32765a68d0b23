"""Offer `benchfleet schema`: print the JSON Schema of a kind of file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import NO_SETTINGS, Call, examples, shares
from orchestrator.domain.errors import ConfigError
from orchestrator.resources import KINDS, schema_file

Kind = Annotated[str, typer.Argument(metavar="KIND", help=f"The kind of file: {', '.join(KINDS[:-1])} or {KINDS[-1]}.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet schema sweep > sweep.schema.json"))(schema)


@shares(NO_SETTINGS, prints=False)
def schema(_call: Call, kind: Kind) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    Files that benchfleet writes name their schema in the first line, so that editors complete and check them.
    """
    from orchestrator.domain.nearest import did_you_mean

    if kind not in KINDS:
        raise ConfigError(
            f"there is no kind of file {kind!r}", did_you_mean(kind, KINDS) or f"one of {', '.join(KINDS)}"
        )
    sys.stdout.write(schema_file(kind).read_text(encoding="utf-8"))
