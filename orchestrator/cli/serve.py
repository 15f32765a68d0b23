"""Offer `benchfleet serve`: the lab's page."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from orchestrator.cli.options import FLEET, Call, examples, shares

DEFAULT_PORT = 8321


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    shared = examples("BENCHFLEET_TOKEN=… benchfleet serve --host 0.0.0.0 --name lab.example", title="For a network:")
    app.command(epilog=examples("benchfleet serve") + "\n\n" + shared)(serve)


@shares(FLEET, prints=False)
def serve(
    call: Call,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="0 takes a free one.")
    ] = DEFAULT_PORT,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="A further name by which browsers call the server; may be repeated. Other names are refused.",
            show_default=False,
        ),
    ] = None,
    proxy_header: Annotated[
        str | None,
        typer.Option(
            "--proxy-header",
            metavar="HEADER",
            help="The header in which a proxy names the signed-in person. The proxy must remove the header from what "
            "others send.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the lab's page.

    Fleet, runs, comparisons, cells, regressions, history, models and SQL, for browsers. The page is for this machine
    alone, unless --host says otherwise. A network is served only with a token in BENCHFLEET_TOKEN, or behind a proxy
    that signs people in. The page writes decisions about regressions and annotations alone, each with the writer's
    name.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.errors import ConfigError
    from orchestrator.settings import TOKEN_VARIABLE

    try:
        from orchestrator.web.access import access
        from orchestrator.web.server import serve as serve_page
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette", "anyio"):
            raise
        raise ConfigError(
            f"the page needs {error.name}, which is not installed", "pip install 'benchfleet[web]'"
        ) from None
    rules = access(host, tuple(name or ()), os.environ.get(TOKEN_VARIABLE) or None, proxy_header)
    with Wiring(call.settings()) as wiring:
        # Before the port is taken: without a database every page would be an error.
        wiring.require_database()
        serve_page(
            wiring, rules, port, lambda address: typer.echo(f"the lab's page: {address} (Ctrl-C ends it)", err=True)
        )
