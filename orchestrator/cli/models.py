"""Offer `benchfleet models`: add, list, draw, verify and build models."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.options import MODELS, Call, examples, shares
from orchestrator.domain.errors import ExitCode

app = typer.Typer(no_args_is_help=True, help="Add, list, draw, verify and build models.")

Directories = Annotated[
    list[Path] | None,
    typer.Argument(metavar="DIR", help="A model's folder, or a folder of them.  [default: models]", show_default=False),
]


@app.command("list", epilog=examples("benchfleet models list models"))
@shares(MODELS)
def list_(call: Call, directories: Directories = None) -> None:
    """List models with their variants."""
    from orchestrator.reporting.reports.models import models_report
    from orchestrator.services.models.find import models_in

    call.show(models_report(models_in(directories or [_folder(call)])))


@app.command(epilog=examples("benchfleet models add face-fp32.tflite face-int8.tflite", "benchfleet models add face"))
@shares(MODELS)
def add(
    call: Call,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR…", help="Files (.tflite, .onnx, .keras, .h5, .pt, .pt2) of one model, or folders of them."
        ),
    ],
) -> None:
    """Describe models: write model.yaml from what the files say.

    Files are copied into a new folder in `models`, one variant each. A folder gets a model.yaml beside the files.
    Nothing is ever overwritten.
    """
    from orchestrator.cli.reading import reading_shown
    from orchestrator.reporting.reports.written_files import written_report
    from orchestrator.services.models.add import add_models

    with reading_shown(call):
        written = add_models(paths, _folder(call))
    call.show(written_report(written))
    if call.is_watched:
        model = written[-1].path.parent
        # A sweep reaches models in the folder of models. For another folder, the person says so.
        inside = model.resolve().is_relative_to(_folder(call).resolve())
        shown = shlex.quote(str(model))
        typer.echo(f"now: benchfleet run {shown}{'' if inside else f' --allow-files {shown}'}", err=True)


@app.command(epilog=examples("benchfleet models verify models/digits"))
@shares(MODELS)
def verify(call: Call, directories: Directories = None) -> None:
    """Hash every file of a model again.

    Exits 2 if a file is missing or changed.
    """
    from orchestrator.cli.reading import reading_shown
    from orchestrator.reporting.reports.model_files import checks_report
    from orchestrator.services.models.find import models_in
    from orchestrator.services.models.verify import verify_models

    with reading_shown(call):
        checks = verify_models(models_in(directories or [_folder(call)]))
    call.show(checks_report(checks))
    leave(ExitCode.FINE if all(check.ok for check in checks) else ExitCode.USAGE)


@app.command(epilog=examples("benchfleet models build models/digits", "benchfleet models build face/recipe.yaml"))
@shares(MODELS)
def build(
    call: Call, path: Annotated[Path, typer.Argument(metavar="DIR|RECIPE", help="The model's folder, or a recipe.")]
) -> None:
    """Build a model from its recipe: for the first time, or again.

    Records the new hashes. Needs the extra `convert` (TensorFlow). Files are replaced only if every variant was built
    and is as accurate as before, within 0.01. Steps of a YAML recipe whose inputs have not changed are not made again.
    """
    from orchestrator.reporting.reports.model_files import build_report
    from orchestrator.services.models.build import build as build_path

    steps = call.settings().cache_dir / "recipe-steps"
    call.show(build_report(build_path(path, lambda line: typer.echo(line, err=True), steps)))


@app.command(epilog=examples("benchfleet models tree models/digits"))
@shares(MODELS)
def tree(call: Call, directories: Directories = None) -> None:
    """Draw which variant was made from which, with size, accuracy and how."""
    from orchestrator.reporting.reports.models import tree_report
    from orchestrator.services.models.find import models_in, sizes_of

    models = models_in(directories or [_folder(call)])
    call.show(tree_report(models, sizes_of(models)))


def _folder(call: Call) -> Path:
    from orchestrator.specs.reach import MODELS_FOLDER

    return call.settings().models or MODELS_FOLDER
