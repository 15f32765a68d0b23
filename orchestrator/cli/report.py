"""Offer `benchfleet report`: a run as a file, for people without a terminal at hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.compare import Against
from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares
from orchestrator.domain.errors import ConfigError

Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write one HTML file of at most 500 KiB: tables, plots, environment; no network, no scripts.",
        show_default=False,
    ),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        "--markdown", metavar="FILE", help="Write Markdown for a pull request; - prints it.", show_default=False
    ),
]
_PRINTED = Path("-")


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples("benchfleet report last --against last-before --markdown - | gh pr comment 7 -F -")
        + "\n\n"
        + examples("benchfleet report last --html run.html")
    )(report)


@shares(DATABASE)
def report(call: Call, run: RunName, against: Against = None, html: Html = None, markdown: Markdown = None) -> None:
    """Write a run into one file: for a mail, or a pull request.

    With --against: the same cells of both runs, and what changed around them. Without: the run's variants.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.written_file import WrittenFile
    from orchestrator.reporting.one_file import write_whole
    from orchestrator.reporting.reports.written_files import written_report
    from orchestrator.reporting.runs import report as writing
    from orchestrator.services.results.report import run_report

    if html is None and markdown is None:
        raise ConfigError("which file is to be written?", "--html FILE or --markdown FILE, or both")
    with Wiring(call.settings(), needs_database=True) as wiring:
        found = run_report(run, against, wiring)
    written = []
    for path, form, write in ((html, "html", writing.html), (markdown, "markdown", writing.markdown)):
        if path == _PRINTED:
            sys.stdout.write(write(found))
        elif path is not None:
            write_whole(path, write(found), f"the {form} of the run")
            written.append(WrittenFile(path, form, path.stat().st_size))
    # Printed Markdown goes on to a program: a table behind it would end in the comment.
    if written and _PRINTED not in (html, markdown):
        call.show(written_report(written))
