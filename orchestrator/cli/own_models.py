"""Take model files in the place of a sweep: `run` and `submit` make a sweep of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.domain.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.cli.options import Call
    from orchestrator.services.runs.own import OwnSweep, OwnSweepRequest

What = Annotated[
    list[Path],
    typer.Argument(
        metavar="SWEEP|FILE…",
        help="A sweep file; or model files (.tflite, .onnx, .keras, .h5, .pt, .pt2), or folders of them.",
    ),
]
Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Of model files: keep the sweep here, and the model in models."),
]


def own_request(what: list[Path], overrides: tuple[str, ...], save: Path | None) -> OwnSweepRequest | None:
    """Return the request for a sweep of model files, None for a sweep file. Raise ConfigError for `--save` of one."""
    from orchestrator.services.runs.own import OwnSweepRequest, is_own

    if is_own(what):
        return OwnSweepRequest(what, overrides, save)
    if save is not None:
        raise ConfigError(f"--save is for model files, and {what[0]} is a sweep", hint="copy the file")
    return None


def written_sweep(request: OwnSweepRequest, wiring: Wiring, call: Call, command: str) -> OwnSweep:
    """Make the sweep of model files, and say on standard error what it is and how to keep it.

    `command` is the word that takes the sweep again.
    """
    from orchestrator.services.runs.own import own_sweep
    from orchestrator.specs.reach import MODELS_FOLDER

    made = own_sweep(request, wiring.settings.models or MODELS_FOLDER, wiring.settings.cache_dir)
    if call.is_watched:
        typer.echo(f"{made.text}\nsweep: {made.path}", err=True)
        for model in made.models:
            typer.echo(f"model: {model}", err=True)
        if request.save is None:
            typer.echo("keep them, to edit them: the same command with --save sweeps/NAME.yaml", err=True)
        else:
            typer.echo(f"again: benchfleet {command} {shlex.quote(str(made.path))}", err=True)
    return made
