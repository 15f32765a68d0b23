"""Offer `benchfleet daemon`: carry out submitted runs."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, examples, shares
from orchestrator.domain.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from orchestrator.reporting.base import RunDisplay


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples(
            "benchfleet daemon", "benchfleet daemon --drain", "benchfleet daemon --print systemd", title="Examples:"
        )
    )(daemon)


@shares((*SESSIONS, *SWEEP_FILES), prints=False)
def daemon(
    call: Call,
    once: Annotated[bool, typer.Option("--once", help="Carry out one run at most, and end.")] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="End once nothing is left in the queue for these devices.")
    ] = False,
    file: Annotated[
        str | None,
        typer.Option(
            "--print",
            metavar="systemd|compose",
            help="Print a service's file for this folder, with the commands that put it and PostgreSQL on a server.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Carry out submitted runs on the devices of this machine's inventory, one after the other.

    Several daemons may work at one database, here and on other machines: each run is carried out once. Ctrl-C ends the
    daemon. Devices that run go on by themselves, and the next daemon goes on with the run. So it does with the run of a
    daemon that was killed, once that one's lease has expired. Daemons also fire schedules (`benchfleet schedule`), and
    keep to the windows of their settings.

    With --once and --drain it exits 3 if a run is incomplete or has failed.
    """
    if once and drain:
        raise ConfigError("--once and --drain contradict each other", "leave one of them out")
    if file is not None:
        sys.stdout.write(_service_file(file, call))
        return
    from orchestrator.bootstrap import Wiring
    from orchestrator.cli.process import settle
    from orchestrator.gateway import sites_of
    from orchestrator.reporting.formats.console import stderr_console
    from orchestrator.reporting.live.progress import run_display
    from orchestrator.services.queue.daemon import DaemonRequest, work

    settings = call.settings()

    def says(words: str) -> None:
        _say(call, words)

    # The wiring is closed first: its executor may be in the same cluster.
    with sites_of(settings, says) as sites, Wiring(settings) as wiring:

        def shows(run: str) -> RunDisplay:
            settle()
            # A service has no terminal: -v and --log-file tell each event.
            return wiring.journaled(run, run_display(stderr_console(), silent=True))

        try:
            is_whole = work(DaemonRequest(once, drain), wiring, shows, says, sites)
        except KeyboardInterrupt:
            # A service that was asked to end has not failed.
            says("stopped; devices that run go on by themselves, and the next daemon goes on with their run")
            return
    leave(ExitCode.FINE if is_whole or not (once or drain) else ExitCode.INCOMPLETE)


def _service_file(named: str, call: Call) -> str:
    """Return the text of a service that works as this command would."""
    import getpass

    from orchestrator.services.queue.service_files import Place, service_file
    from orchestrator.settings import OPTIONS, ExecutorKind

    # A wrong setting would end the service again and again.
    settings = call.settings()
    given = {**call.flags, "config": call.config}
    flags = [
        (f"--{key.replace('_', '-')}", str(one))
        for key, value in given.items()
        for one in (value if isinstance(value, list | tuple) else [] if value is None else [value])
    ]
    variables = {one.variable: os.environ[one.variable] for one in OPTIONS if os.environ.get(one.variable)}
    installed = Path(sys.executable).with_name("benchfleet")
    program = [str(installed)] if installed.exists() else [sys.executable, "-m", "benchfleet"]
    place = Place(
        *(Path.cwd(), getpass.getuser(), program, flags, variables),
        uses_ray=settings.executor is ExecutorKind.RAY or settings.ray_address is not None,
        ray_address=settings.ray_address,
    )
    return service_file(named, place)


def _say(call: Call, words: str) -> None:
    from orchestrator.reporting.text import clean

    if call.is_watched:
        typer.echo(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {clean(words)}", err=True)
