"""Options and texts that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Database: a path, or postgresql://USER@HOST/NAME.", show_default=False),
]
InventoryPath = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory", metavar="PATH", help="File or folder; may be repeated.  [default: inventory]", show_default=False
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file.  [default: benchfleet.toml]", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Select = Annotated[
    str,
    typer.Option("--select", metavar="EXPR", help="Devices, such as 'pi-*', 'class=rpi,ram=4g', 'not coral-*'."),
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="Where device sessions run: threads or ray.  [default: threads]",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="The Ray cluster to join; without it, one is started.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Queue for devices that are in use or reserved.")]
Reservation = Annotated[
    int | None,
    typer.Option(
        "--reservation",
        min=1,
        metavar="ID",
        help="A reservation to use, whoever made it; your own need not be named.",
        show_default=False,
    ),
]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or 'last', the newest.")
]


def examples(*commands: str, title: str = "Example:") -> str:
    r"""Return the end of a help page: commands to type, each on a line of its own (\\b keeps them so)."""
    return "\b\n" + "\n".join([title, *(f"  {command}" for command in commands)])
