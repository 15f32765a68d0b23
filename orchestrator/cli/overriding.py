"""Declare the options that lay values over a sweep, and turn each into a setting of the sweep."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orchestrator.domain.errors import ConfigError

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the sweep, such as trials=10; may be repeated."),
]
Variants = Annotated[
    str | None, typer.Option("--variants", metavar="NAMES", help="Variants, by commas, in place of the sweep's.")
]
Runtimes = Annotated[
    str | None,
    typer.Option("--runtimes", metavar="NAMES", help="Runtimes, by commas, in place of the sweep's (or the usual)."),
]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="COUNTS", help="Threads, such as 1,2, in place of the sweep's.")
]
Trials = Annotated[
    int | None,
    typer.Option("--trials", metavar="N", help="Trials of each cell, in place of the sweep's.", show_default=False),
]

Missing = Annotated[
    bool,
    typer.Option(
        "--missing", help="Only cells without a counted result for the same files, runtime, settings and device."
    ),
]
Stale = Annotated[
    str | None,
    typer.Option(
        "--stale",
        metavar="AGE",
        help="Only cells whose newest counted result is older, such as 7d, or missing.",
        show_default=False,
    ),
]


def overrides_of(
    sets: list[str] | None, variants: str | None, runtimes: str | None, threads: str | None, trials: int | None
) -> tuple[str, ...]:
    """Return the options as settings `KEY=VALUE` of a sweep. Raise ConfigError for a list without a name.

    `--set` comes last, and wins.
    """
    found = []
    if variants is not None:
        found.append(f"variants={json.dumps(names_in(variants, '--variants'), ensure_ascii=False)}")
    if runtimes is not None:
        found.append(f"runtimes={json.dumps(names_in(runtimes, '--runtimes'), ensure_ascii=False)}")
    if threads is not None:
        found.append(f"matrix.threads={json.dumps(counts_in(threads))}")
    if trials is not None:
        found.append(f"trials={trials}")
    return (*found, *(sets or ()))


def names_in(text: str, option: str) -> list[str]:
    """Return names divided by commas. Raise ConfigError for an empty one."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"{option} {text}: expected names, by commas", hint=f"such as {option} one,two")
    return names


def counts_in(text: str) -> list[int]:
    """Return counts divided by commas. Raise ConfigError for any other text."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and word.isascii() and 0 < len(word) < 5 and int(word) for word in words):
        raise ConfigError(f"--threads {text}: expected counts from 1 on, by commas", hint="such as --threads 1,2,4")
    return list(dict.fromkeys(map(int, words)))
