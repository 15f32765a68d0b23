"""`benchfleet models`: what can be measured, whether it is what it claims to be, and how it is made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import Json, examples
from orchestrator.cli.output import leave, show
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from orchestrator.services.build_model import BuiltModel
    from orchestrator.services.verify_models import FileCheck

app = typer.Typer(no_args_is_help=True, help="List, verify and rebuild models.")

Directories = Annotated[
    list[Path] | None,
    typer.Argument(metavar="DIR", help="A model's folder, or a folder of them.  [default: models]", show_default=False),
]


@app.command("list", epilog=examples("benchfleet models list models"))
def list_(directories: Directories = None, as_json: Json = False) -> None:
    """List models with their variants."""
    from orchestrator.reporting.fleet import model_table
    from orchestrator.specs.model import load_model

    models = [load_model(folder, verify=False) for folder in _folders(directories)]
    show(models, as_json, lambda: model_table(models))


@app.command(epilog=examples("benchfleet models verify models/digits"))
def verify(directories: Directories = None, as_json: Json = False) -> None:
    """Hash every file of a model again.

    Exits 2 if one is missing or changed.
    """
    from orchestrator.services.verify_models import verify_models
    from orchestrator.specs.model import load_model

    checks = verify_models([load_model(folder, verify=False) for folder in _folders(directories)])
    show(checks, as_json, lambda: _checks_table(checks))
    leave(ExitCode.FINE if all(check.ok for check in checks) else ExitCode.USAGE)


@app.command(epilog=examples("benchfleet models build models/digits"))
def build(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The model's folder.")], as_json: Json = False
) -> None:
    """Build a model again from its recipe.

    Records the new hashes. Needs the extra `convert` (TensorFlow). Nothing is replaced unless every variant was built
    and is as accurate as before, within 0.01.
    """
    from orchestrator.services.build_model import build_model

    result = build_model(directory, lambda line: typer.echo(line, err=True))
    show(result, as_json, lambda: _build_table(result))


def _folders(directories: list[Path] | None) -> list[Path]:
    from orchestrator.specs.model import MODELS_FOLDER, find_models

    return [folder for given in directories or [MODELS_FOLDER] for folder in find_models(given)]


def _checks_table(checks: Sequence[FileCheck]) -> RenderableType:
    from orchestrator.reporting.columns import Column, plain_table

    columns = (Column("model"), Column("file", fold=True), Column("state"), Column("found"), Column("declared"))
    rows = (
        (
            check.model,
            _from_here(check.path),
            check.state.value,
            (check.found_sha256 or "")[:12],
            check.declared_sha256[:12],
        )
        for check in checks
    )
    return plain_table(columns, rows)


def _from_here(path: Path | str) -> str:
    """Return a path as one would type it: from the working folder, if it lies in it."""
    full = Path(path)
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)


def _build_table(built: BuiltModel) -> RenderableType:
    from orchestrator.reporting.columns import Column, plain_table

    columns = (Column("variant"), Column("sha256"), Column("was"), Column("accuracy", fold=True))
    rows = (
        (
            variant.name,
            variant.new_sha256[:12],
            variant.old_sha256[:12] if variant.changed else "the same",
            ", ".join(f"{metric} {value:.4f}" for metric, value in variant.new_accuracy.items()) or None,
        )
        for variant in built.variants
    )
    return plain_table(columns, rows)
