"""Offer `benchfleet compare`: compare variants, runtimes, devices, settings or runs."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares
from orchestrator.domain.errors import ExitCode

_OVER_TIME = examples("benchfleet compare last --against last-before --fail-on-regression", title="Over time:") + "\n\n"

Other = Annotated[str | None, typer.Argument(metavar="[OTHER]", help="The run to compare with, as --against has it.")]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="VALUE",
        help="What all others are compared with. Default: the variant that all others were made from.",
        show_default=False,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="RUN",
        help="Compare with the same cells of another run: an id, a name, a baseline, last-before (the run of the sweep "
        "before), or a date such as 2026-11-28 (its newest run that had ended by then, in UTC).",
        show_default=False,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Which metric, such as latency, p90, memory, energy, size or accuracy; may be repeated. Default: latency "
        "with its p90 and p99, memory and energy, where both sides have them. A gate judges each.",
        show_default=False,
    ),
]
Cells = Annotated[
    list[str] | None,
    typer.Option(
        "--cell",
        metavar="RULE",
        help="These cells alone, such as 'device=pi-03,variant=int8,threads=1'; may be repeated, and globs work. "
        "Figures and verdicts are those of the whole comparison.",
        show_default=False,
    ),
]
MinEffect = Annotated[
    float | None,
    typer.Option(
        "--min-effect",
        min=0.0,
        metavar="SHARE",
        help="Smallest change that matters: 0.01 is 1 %. Default: the metric's own.",
    ),
]
FailOnRegression = Annotated[
    bool,
    typer.Option(
        "--fail-on-regression",
        help="Exit with 1 for a cell that is confirmed worse, does not run, is missing or is less accurate, and if "
        "nothing was compared. A changed environment alone passes, with a warning.",
    ),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(
        "--max-accuracy-loss",
        "--max-accuracy-drop",
        min=0.0,
        max=1.0,
        metavar="X",
        help="How much accuracy may be lost: 0.01 is from 0.98 to 0.97. Beyond it a faster or smaller side is not "
        "comparable (default: 0.02), and a gate fails (default: the metric's own, for top-1 0.01).",
        show_default=False,
    ),
]
RequireAgreement = Annotated[
    bool, typer.Option("--require-agreement", help="Outputs that disagree, or that nobody can compare, fail too.")
]
FailOnEnvironmentChange = Annotated[
    bool,
    typer.Option(
        "--fail-on-environment-change",
        help="As --fail-on-regression, and exit with 1 too where the same bytes differ from the other run, which is a "
        "change of the device or of its environment.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=_OVER_TIME + examples("benchfleet compare last --by variant --base fp32"))(compare)


@shares(DATABASE, has_cases=True)
def compare(
    call: Call,
    run: RunName,
    other: Other = None,
    base: Base = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="What differs: variant, runtime, device, a setting such as threads, or run.  [default: variant]",
            show_default=False,
        ),
    ] = None,
    against: Against = None,
    metric: Metrics = None,
    cell: Cells = None,
    details: Annotated[
        bool, typer.Option("--details", help="Of several metrics, each in a table of its own, with intervals.")
    ] = False,
    min_effect: MinEffect = None,
    atol: Annotated[
        float, typer.Option("--atol", min=0.0, metavar="X", help="How far outputs may differ and still agree.")
    ] = 1e-3,
    rtol: Annotated[
        float,
        typer.Option("--rtol", min=0.0, metavar="SHARE", help="How much further, as a share of the base's output."),
    ] = 1e-2,
    fail_on_regression: FailOnRegression = False,
    max_accuracy_drop: MaxAccuracyDrop = None,
    require_agreement: RequireAgreement = False,
    fail_on_environment_change: FailOnEnvironmentChange = False,
) -> None:
    """Compare a run's cells with one of them, or with another run.

    Prints, for each device and setting and in each metric: the ratio over trials with the verdict, size, accuracy, and
    the agreement of outputs. A single --metric is printed with intervals, as --details prints all. Iterations of a
    process are correlated and are never pooled: the values of a side are medians of trials.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.comparison import Tolerance
    from orchestrator.domain.errors import ConfigError
    from orchestrator.domain.gate import GateTerms
    from orchestrator.reporting.reports.comparison import comparison_report
    from orchestrator.services.results.compare import CompareOptions
    from orchestrator.services.results.request import CompareRequest, compare_run

    if other is not None and against is not None:
        raise ConfigError(f"{other} and --against {against}: with which is it?", "leave one of them out")
    terms = GateTerms(max_accuracy_drop, require_agreement, fail_on_environment_change)
    options = CompareOptions(min_effect=min_effect, tolerance=Tolerance(atol, rtol), terms=terms)
    request = CompareRequest(run, base, by, options, other or against, metric or (), cell or ())
    with Wiring(call.settings(), needs_database=True) as wiring:
        comparison = compare_run(request, wiring)
    call.show(comparison_report(comparison, details=details))
    # Shown first: a build that fails must still say why.
    gates = fail_on_regression or fail_on_environment_change
    leave(ExitCode.REGRESSION if gates and comparison.reasons else ExitCode.FINE)
