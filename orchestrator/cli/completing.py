"""Complete names at once: devices, runs, variants, metrics, tags. Without Typer, whose tree takes too long.

Whatever is no name (commands, options, files) is left to Typer. `known_names` finds the names.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.cli.known_names import (
    DEVICE,
    METRIC,
    MODEL,
    RUN,
    SCHEDULE,
    SWEEP,
    TAG,
    VARIANT,
    names_in_database,
    names_in_inventory,
    setting,
)
from orchestrator.lab_folder import find_lab

VARIABLE = "_BENCHFLEET_COMPLETE"
"""What the shell's script of Typer sets, to `complete_bash`, `complete_zsh` or `complete_fish`."""

OPTIONS: Mapping[str, str] = {
    "--select": DEVICE,
    "--against": RUN,
    "--base": VARIANT,
    "--metric": METRIC,
    "--x": METRIC,
    "--y": METRIC,
    "--tag": TAG,
    "--device": DEVICE,
    "--model": MODEL,
    "--sweep": SWEEP,
    "--variant": VARIANT,
    "--variants": VARIANT,
}
"""Options whose value is a name."""
_VALUED = frozenset(
    (*OPTIONS, "--db", "--inventory", "--config", "--format", "--log-file", "--executor", "--ray-address", "--by", "-o")
)
_FOR_DEVICES = ("enroll", "reserve", "release", "quarantine", "readmit", "clean")
_OF_RUNS = ("show", "follow", "resume", "cancel", "note", "tag", "exclude", "include", "delete")
ARGUMENTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("compare",): (RUN, RUN),
    ("env-diff",): (RUN, RUN),
    ("report",): (RUN,),
    ("export",): (RUN,),
    ("replay",): (RUN,),
    **{("plot", word): (RUN,) for word in ("latency", "power", "pareto")},
    **{("runs", word): (RUN,) for word in _OF_RUNS},
    ("runs", "tag"): (RUN, TAG),
    **{("schedule", word): (SCHEDULE,) for word in ("remove", "pause", "resume", "next")},
    **{("devices", word): (DEVICE,) for word in _FOR_DEVICES},
}
"""What the arguments of a command are. A further argument is like the last."""
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=:@+-]{0,199}")
"""A name that no shell reads as more than a word: the script for zsh evaluates the answer."""


def complete_name(environ: Mapping[str, str] = os.environ, write: Callable[[str], object] = sys.stdout.write) -> bool:
    """Write the names that complete the word at the cursor. Return False where Typer completes instead."""
    shell = environ.get(VARIABLE, "").removeprefix("complete_")
    if shell not in ("bash", "zsh", "fish"):
        return False
    words, begun, before = _typed(environ, shell)
    kind = kind_at(words, begun)
    if kind is None:
        return False
    found = dict.fromkeys(name for name in _names(kind, words, environ) if _SAFE.fullmatch(name))
    fitting = [name.removeprefix(before) for name in found if name.startswith(begun)]
    if shell == "fish" and environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        raise SystemExit(0 if fitting else 1)
    if shell == "zsh":
        # A colon would begin an explanation.
        quoted = "\n".join('"{}"'.format(name.replace(":", r"\\:")) for name in fitting)
        write(f"_arguments '*: :(({quoted}))'\n" if fitting else "_files\n")
    else:
        write("".join(f"{name}\n" for name in fitting))
    return True


def _typed(environ: Mapping[str, str], shell: str) -> tuple[list[str], str, str]:
    """Return the words before the cursor without the command's name, the word begun, and what the shell has of that.

    Bash takes the sign = for a word of its own, and completes what stands behind the sign.
    """
    if shell == "bash":
        words, place = _split(environ.get("COMP_WORDS", "")), int(environ.get("COMP_CWORD") or 0)
        begun = words[place] if place < len(words) else ""
        if place > 2 and (begun == "=" or words[place - 1] == "="):
            place -= 1 if begun == "=" else 2
            before = f"{words[place]}="
            return words[1:place], before if begun == "=" else f"{before}{begun}", before
        return words[1:place], begun, ""
    text = environ.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(text)[1:]
    return (words[:-1], words[-1], "") if words and not text.endswith(" ") else (words, "", "")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote is still open
        return text.split()


def kind_at(words: Sequence[str], begun: str) -> str | None:
    """Return what the word at the cursor names, or None for anything else."""
    if begun.startswith("-"):
        return None
    if words and words[-1].startswith("-") and words[-1] in _VALUED:
        return OPTIONS.get(words[-1])
    plain = [word for before, word in zip(("", *words), words, strict=False) if _is_argument(word, before)]
    for size in (2, 1):
        kinds = ARGUMENTS.get(tuple(plain[:size]))
        if kinds is not None:
            return kinds[min(len(plain) - size, len(kinds) - 1)]
    return None


def _is_argument(word: str, before: str) -> bool:
    return not word.startswith("-") and before not in _VALUED


def _names(kind: str, words: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    lab = find_lab(Path())
    if kind == METRIC:
        from orchestrator.domain.metric import ALIASES, METRICS

        yield from (*ALIASES, *METRICS)
        return
    if kind == DEVICE:
        yield from names_in_inventory(lab)
    elif kind == RUN:
        yield from ("last", *(["last-before"] if words[-1:] == ["--against"] else []))
    yield from _of_database(kind, lab, words, environ)


def _of_database(kind: str, lab: Path, words: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    given = next((words[place + 1] for place, word in enumerate(words[:-1]) if word == "--db"), None)
    url = given or environ.get("BENCHFLEET_DB")
    if url:
        return names_in_database(kind, url, Path(), environ)
    return names_in_database(kind, setting(lab, "db") or "benchfleet.db", lab, environ)
