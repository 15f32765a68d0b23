"""Offer `benchfleet runs score`: a metric of the user's on the outputs of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.following import show_run
from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet runs score last macro_f1.py"))(score)


@shares(DATABASE)
def score(
    call: Call,
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with metric(outputs, labels).")],
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=1.0, max=3600.0, help="The longest time for a cell.")
    ] = 60.0,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", metavar="MB", min=200, help="The most memory for a cell.")
    ] = 2000,
) -> None:
    """Judge the kept outputs of a run by a metric of yours, which runs here, never on a device.

    The file has a function that takes the outputs and the labels of the first inputs as arrays, and returns a number,
    or a number for each input. Its value is `accuracy_NAME`, NAME being the file's. The higher, the better, unless the
    name ends with `_error`. `accuracy: {metric: outputs}` in a sweep keeps outputs of the whole data set, up to 64 KiB
    of each cell. docs/measuring.md
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.text import clean
    from orchestrator.services.runs.scoring import ScoreRequest, score_run
    from orchestrator.services.runs.show import details_of, require_run

    request = ScoreRequest(run, file, seconds, memory_mb * 1_000_000)
    with Wiring(call.settings()) as wiring:
        wiring.require_database()
        found = score_run(request, wiring)
        details = details_of(wiring.store, require_run(wiring.store.runs, run).header.run)
    for one in found:
        count, score_ = one.outputs.count, one.score
        inputs = f"{count} inputs" if one.of in (None, count) else f"the first {count} of {one.of} inputs"
        value = f"{score_.value:.6g}" if score_.value is not None else f"none: {score_.reason}"
        typer.echo(clean(f"{one.outputs.cell}: {score_.metric} {value} ({inputs})"), err=True)
    show_run(details, call)
