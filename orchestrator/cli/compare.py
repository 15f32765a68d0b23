"""`benchfleet compare`: what changed between variants, runtimes, devices or settings."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Config, Db, Json, RunName
from orchestrator.cli.output import show


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command()(compare)


def compare(
    run: RunName,
    base: Annotated[str, typer.Option("--base", metavar="VALUE", help="What everything else is compared with.")],
    by: Annotated[str, typer.Option("--by", metavar="WHAT", help="variant, runtime, device or a setting.")] = "variant",
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Which metric.")] = "latency",
    min_effect: Annotated[
        float | None,
        typer.Option("--min-effect", min=0.0, metavar="SHARE", help="Smallest change that matters: 0.01 is 1 %."),
    ] = None,
    atol: Annotated[float, typer.Option("--atol", min=0.0, help="Outputs agree within this, absolutely,")] = 1e-3,
    rtol: Annotated[float, typer.Option("--rtol", min=0.0, help="plus this share of the base's output.")] = 1e-2,
    db: Db = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare a run's cells: ratio with an interval over trials, size, accuracy, and whether outputs agree.

    Iterations of one process are correlated and are never pooled: a side's values are its trials' medians.

    Example: benchfleet compare last --by variant --base fp32
    """
    from orchestrator import bootstrap
    from orchestrator.domain.comparison import Tolerance
    from orchestrator.reporting.compare import CompareView
    from orchestrator.services.compare import CompareOptions
    from orchestrator.services.compare import compare as compare_cells
    from orchestrator.services.run import require_run

    with bootstrap.store(bootstrap.settings(db=db, config=config)) as store:
        record = require_run(store, run)
        options = CompareOptions(metric=metric, min_effect=min_effect, tolerance=Tolerance(atol, rtol))
        comparison = compare_cells(store, record.header.run, by, base, options)
    show(comparison, as_json, lambda: CompareView(comparison))
