"""Offer `benchfleet export`: measurements and raw samples as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.history import Since, Until
from orchestrator.cli.options import DATABASE, Call, examples, shares
from orchestrator.domain.errors import ConfigError

Into = Annotated[
    Path, typer.Option("-o", "--into", metavar="DIR", help="The folder to be made; it must not be there yet.")
]
Form = Annotated[
    str, typer.Option("--format", metavar="NAME", help="The format of the files: parquet (extra `export`) or csv.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples("benchfleet export --since 90d -o lab --samples", title="A time, with raw samples:")
        + "\n\n"
        + examples("benchfleet export last -o run --format csv")
    )(export)


@shares(DATABASE, prints=False)
def export(
    call: Call,
    into: Into,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run's id or name, a unique beginning of either, or 'last'.",
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    file_format: Form = "parquet",
    samples: Annotated[bool, typer.Option("--samples", help="Raw samples too, about 4 bytes each as Parquet.")] = False,
    all_attempts: Annotated[
        bool, typer.Option("--all-attempts", help="Measurements that do not count too; see column `counted`.")
    ] = False,
) -> None:
    """Export measurements as Parquet or CSV.

    A file for each run and device, in folders that DuckDB and pandas read as columns; docs/export.md has examples. The
    folder appears when it is complete.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.export import ExportFormat
    from orchestrator.domain.series_history import Window
    from orchestrator.reporting.reports.written_files import written_report
    from orchestrator.services.history.window import read_window
    from orchestrator.services.results import export as exporting

    if (run is None) == (since is None and until is None):
        raise ConfigError("what is to be exported?", "a RUN, or the runs since and until a time: --since 90d")
    if file_format not in list(ExportFormat):
        raise ConfigError(f"--format {file_format}: there is no such format", f"known: {', '.join(ExportFormat)}")
    window = None if run is not None else read_window(since, until, Window().limit)
    with Wiring(call.settings(), needs_database=True) as wiring:
        request = exporting.ExportRequest(into, ExportFormat(file_format), run, window, samples, all_attempts)
        files = exporting.export(request, wiring, lambda line: typer.echo(line, err=True))
    call.show(written_report(files))
