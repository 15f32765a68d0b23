"""Offer `benchfleet plot`: figures as SVG and PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.history import Since, Until
from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares
from orchestrator.domain.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.domain.figure import Figure
    from orchestrator.services.base import HasRecords

app = typer.Typer(no_args_is_help=True, help="Draw figures into files: latency, history, pareto, power.")

Into = Annotated[Path, typer.Option("-o", "--into", metavar="FILE", help="The file, by its name an svg or a png.")]


@app.command(epilog=examples("benchfleet plot latency last -o latency.svg"))
@shares(DATABASE)
def latency(call: Call, run: RunName, into: Into) -> None:
    """Draw the latency of a run's cells, with intervals over trials."""
    from orchestrator.services.results.figures import intervals_figure

    _draw(call, into, lambda wiring: intervals_figure(run, "latency", wiring))


@app.command(epilog=examples("benchfleet plot power last --metric energy -o energy.svg"))
@shares(DATABASE)
def power(
    call: Call,
    run: RunName,
    into: Into,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="power, energy or another metric.")] = "power",
) -> None:
    """Draw the power of a run's cells, with intervals over trials."""
    from orchestrator.services.results.figures import intervals_figure

    _draw(call, into, lambda wiring: intervals_figure(run, metric, wiring))


@app.command(epilog=examples("benchfleet plot pareto last -o pareto.svg"))
@shares(DATABASE)
def pareto(
    call: Call,
    run: RunName,
    into: Into,
    x: Annotated[str, typer.Option("--x", metavar="NAME", help="The metric across.")] = "latency",
    y: Annotated[str, typer.Option("--y", metavar="NAME", help="The metric upwards.")] = "accuracy",
) -> None:
    """Draw a run's cells by two metrics, and which of them no other cell of the device beats."""
    from orchestrator.services.results.figures import pareto_figure

    _draw(call, into, lambda wiring: pareto_figure(run, x, y, wiring))


@app.command(epilog=examples("benchfleet plot history 'device=pi-03,variant=int8' --since 90d -o history.png"))
@shares(DATABASE)
def history(
    call: Call,
    series: Annotated[list[str], typer.Argument(metavar="SERIES...", help="Series, as benchfleet history names them.")],
    into: Into,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Which metric.")] = "latency",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=5000, metavar="N", help="At most so many runs.")] = 365,
) -> None:
    """Draw series over time, with intervals, steps and baselines."""
    from orchestrator.services.history.over_time import HistoryRequest
    from orchestrator.services.history.window import read_window
    from orchestrator.services.results.figures import history_figure

    request = HistoryRequest(series, metric, read_window(since, until, limit))
    _draw(call, into, lambda wiring: history_figure(request, wiring))


def _draw(call: Call, into: Path, compose: Callable[[HasRecords], Figure]) -> None:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.written_file import WrittenFile
    from orchestrator.reporting.one_file import write_whole
    from orchestrator.reporting.plots.drawing import FORMATS, drawn
    from orchestrator.reporting.reports.written_files import written_report

    form = into.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise ConfigError(f"{into}: is neither an svg nor a png by its name", "such as -o figure.svg")
    with Wiring(call.settings(), needs_database=True) as wiring:
        figure = compose(wiring)
    write_whole(into, drawn(figure, form), "the figure")
    call.show(written_report([WrittenFile(into, form, into.stat().st_size)]))
