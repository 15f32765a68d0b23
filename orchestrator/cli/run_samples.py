"""Offer `benchfleet runs samples`: the raw samples of cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares
from orchestrator.domain.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.domain.export import SampleFormat

Form = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="csv, npz (numpy) or parquet (extra `export`).  [default: by the file's ending, else csv]",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples("benchfleet runs samples last --cell 'device=pi-03,variant=int8' -o int8.npz", title="A file:")
        + "\n\n"
        + examples("benchfleet runs samples last --cell variant=int8 | head")
    )(samples)


@shares(DATABASE, prints=False)
def samples(
    call: Call,
    run: RunName,
    cell: Annotated[
        str,
        typer.Option(
            "--cell",
            metavar="RULE",
            help="Which cells, such as 'device=pi-03,variant=int8'; globs work.",
            show_default=False,
        ),
    ],
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Which metric.")] = "latency",
    into: Annotated[
        Path | None,
        typer.Option("-o", "--into", metavar="FILE", help="The file.  [default: standard output]", show_default=False),
    ] = None,
    file_format: Form = None,
) -> None:
    """Print or write the raw samples of cells, a row for each sample.

    Samples of counted trials alone, in the order of measuring. Never pool samples of several trials: the trial is the
    unit of replication. docs/schema.md has the layout of samples in the database.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.sql_rows import rows_report
    from orchestrator.reporting.reports.written_files import written_report
    from orchestrator.services.runs.samples import SamplesRequest, sample_rows, write_samples

    form = _format(file_format, into)
    request = SamplesRequest(run, cell, metric)
    with Wiring(call.settings(), needs_database=True) as wiring:
        if into is not None:
            call.show(written_report([write_samples(request, into, form, wiring)]))
        else:
            # Inside the context: rows are still on their way from the database.
            call.show_as("csv", rows_report(*sample_rows(request, wiring)))


def _format(named: str | None, into: Path | None) -> SampleFormat:
    """Return the named format, or the format of the file's ending. Raise ConfigError for an unknown name or ending."""
    from orchestrator.domain.export import SampleFormat

    known = f"known: {', '.join(SampleFormat)}"
    ending = "" if into is None else into.suffix.removeprefix(".")
    if named is not None and named not in list(SampleFormat):
        raise ConfigError(f"--format {named}: there is no such format", known)
    if named is None and ending not in ("", *SampleFormat):
        raise ConfigError(f"{into}: no format has the ending .{ending}", f"--format NAME; {known}")
    form = SampleFormat(named or ending or "csv")
    if into is None and form is not SampleFormat.CSV:
        raise ConfigError(f"--format {form}: goes into a file alone", f"-o samples.{form}")
    return form
