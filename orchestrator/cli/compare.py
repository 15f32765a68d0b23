"""`benchfleet compare`: what changed between variants, runtimes, devices or settings."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import Config, Db, Json, RunName, examples
from orchestrator.cli.output import leave, show
from orchestrator.domain.errors import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet compare last --by variant --base fp32"))(compare)


def compare(
    run: RunName,
    base: Annotated[str, typer.Option("--base", metavar="VALUE", help="What all others are compared with.")],
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="What differs: variant, runtime, device or a setting.")
    ] = "variant",
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Which metric.")] = "latency",
    min_effect: Annotated[
        float | None,
        typer.Option(
            "--min-effect",
            min=0.0,
            metavar="SHARE",
            help="Smallest change that matters: 0.01 is 1 %. Default: the metric's own.",
        ),
    ] = None,
    atol: Annotated[
        float, typer.Option("--atol", min=0.0, metavar="X", help="How far outputs may differ and still agree.")
    ] = 1e-3,
    rtol: Annotated[
        float,
        typer.Option("--rtol", min=0.0, metavar="SHARE", help="How much further, as a share of the base's output."),
    ] = 1e-2,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit with 1 if any cell regressed.")
    ] = False,
    db: Db = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare a run's cells with one of them.

    Prints, for each device and setting: the ratio with its interval over trials, size, accuracy, and whether the
    outputs agree. Iterations of one process are correlated and are never pooled: a side's values are the medians of
    its trials.
    """
    from orchestrator import bootstrap
    from orchestrator.domain.comparison import Tolerance, Verdict
    from orchestrator.reporting.compare import CompareView
    from orchestrator.services.compare import CompareOptions
    from orchestrator.services.compare import compare as compare_cells
    from orchestrator.services.run import require_run

    with bootstrap.store(bootstrap.settings(db=db, config=config)) as store:
        record = require_run(store, run)
        options = CompareOptions(metric=metric, min_effect=min_effect, tolerance=Tolerance(atol, rtol))
        comparison = compare_cells(store, record.header.run, by, base, options)
    show(comparison, as_json, lambda: CompareView(comparison))
    regressed = any(row.verdict is Verdict.REGRESSED for row in comparison.rows)
    leave(ExitCode.REGRESSION if fail_on_regression and regressed else ExitCode.FINE)
