"""Options that commands share, and the settings that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Database: a path, sqlite:///PATH or postgresql://….", show_default=False),
]
InventoryPath = Annotated[
    list[str] | None,
    typer.Option("--inventory", metavar="PATH", help="Inventory file or folder; may be repeated.", show_default=False),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file.  [default: benchfleet.toml]", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Select = Annotated[
    str,
    typer.Option("--select", metavar="EXPR", help="Devices: 'class=rpi,ram=4g', 'pi-*', 'not coral-*'."),
]
ExecutorName = Annotated[
    str | None,
    typer.Option("--executor", metavar="NAME", help="threads or ray.  [default: threads]", show_default=False),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", metavar="ADDRESS", help="Join this Ray cluster.", show_default=False),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or 'last'.")]
