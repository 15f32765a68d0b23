"""Complete names at once: devices, runs, variants, metrics. Without Typer, whose tree takes longer than a person waits.

Whatever is no name (commands, options, files) is left to Typer. Names come from the lab's inventory and from the lab's
SQLite database, opened for reading alone. A PostgreSQL database is not asked: to connect takes too long.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from orchestrator.lab_folder import INVENTORY_FOLDER, SETTINGS_FILE, find_lab

VARIABLE = "_BENCHFLEET_COMPLETE"
"""What the shell's script of Typer sets, to `complete_bash`, `complete_zsh` or `complete_fish`."""

DEVICE, RUN, VARIANT, METRIC = "device", "run", "variant", "metric"

OPTIONS: Mapping[str, str] = {
    "--select": DEVICE,
    "--against": RUN,
    "--base": VARIANT,
    "--metric": METRIC,
    "--x": METRIC,
    "--y": METRIC,
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
    **{("devices", word): (DEVICE,) for word in _FOR_DEVICES},
}
"""What the arguments of a command are. A further argument is like the last."""
_RUNS_MAX = 40
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=:@+-]{0,199}")
"""A name that no shell reads as more than a word: the script for zsh evaluates the answer."""


def complete_name(environ: Mapping[str, str] = os.environ, write: Callable[[str], object] = sys.stdout.write) -> bool:
    """Write the names that complete the word at the cursor. Return False where Typer completes instead."""
    shell = environ.get(VARIABLE, "").removeprefix("complete_")
    if shell not in ("bash", "zsh", "fish"):
        return False
    words, begun = _typed(environ, shell)
    kind = kind_at(words, begun)
    if kind is None:
        return False
    found = dict.fromkeys(name for name in _names(kind, words, environ) if _SAFE.fullmatch(name))
    fitting = [name for name in found if name.startswith(begun)]
    if shell == "fish" and environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        raise SystemExit(0 if fitting else 1)
    if shell == "zsh":
        # A colon would begin an explanation.
        quoted = "\n".join('"{}"'.format(name.replace(":", r"\\:")) for name in fitting)
        write(f"_arguments '*: :(({quoted}))'\n" if fitting else "_files\n")
    else:
        write("".join(f"{name}\n" for name in fitting))
    return True


def _typed(environ: Mapping[str, str], shell: str) -> tuple[list[str], str]:
    """Return the words before the cursor without the command's name, and the word begun."""
    if shell == "bash":
        words, place = _split(environ.get("COMP_WORDS", "")), int(environ.get("COMP_CWORD") or 0)
        return words[1:place], words[place] if place < len(words) else ""
    text = environ.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(text)[1:]
    return (words[:-1], words[-1]) if words and not text.endswith(" ") else (words, "")


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
    elif kind == DEVICE:
        yield from _of_inventory(lab)
        yield from _rows("SELECT name FROM device ORDER BY name", _database(lab, words, environ))
    elif kind == VARIANT:
        yield from _rows("SELECT DISTINCT name FROM model_variant ORDER BY name", _database(lab, words, environ))
    else:
        yield from ("last", *(["last-before"] if words[-1:] == ["--against"] else []))
        newest = f"SELECT id, name FROM run ORDER BY started_at DESC LIMIT {_RUNS_MAX}"  # noqa: S608 - a number of ours
        named = f"SELECT name FROM ({newest}) WHERE name IS NOT NULL UNION ALL SELECT id FROM ({newest})"  # noqa: S608 - a number of ours
        yield from _rows(named, _database(lab, words, environ))


def _rows(statement: str, file: Path | None) -> Iterator[str]:
    if file is None or not file.is_file():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as found:
        yield from (str(name) for (name,) in found.execute(statement))


def _database(lab: Path, words: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """Return the file of the SQLite database; None for a database of another kind."""
    given = next((words[place + 1] for place, word in enumerate(words[:-1]) if word == "--db"), None)
    folder, url = (Path(), given or environ.get("BENCHFLEET_DB"))
    if not url:
        folder, url = lab, _setting(lab, "db") or "benchfleet.db"
    if "://" in url and not url.startswith("sqlite:///"):
        return None
    return folder / url.removeprefix("sqlite:///")


def _setting(lab: Path, key: str) -> str | None:
    import tomllib

    try:
        value = tomllib.loads((lab / SETTINGS_FILE).read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, str) else None


def _of_inventory(lab: Path) -> Iterator[str]:
    """Yield the devices of the lab's own inventory folder, as people write inventories: a line for each name."""
    # By lines: to import a parser of YAML takes half of the time that there is.
    for file in sorted((lab / INVENTORY_FOLDER).glob("*.y*ml")):
        with suppress(OSError, ValueError):
            yield from _below_devices(file.read_text(encoding="utf-8").splitlines())


def _below_devices(lines: Sequence[str]) -> Iterator[str]:
    depth: int | None = None
    is_inside = False
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if indent == 0:
            is_inside, depth = line.startswith("devices:"), None
        elif is_inside:
            depth = indent if depth is None else depth
            name, colon, _ = line.strip().partition(":")
            if indent == depth and colon:
                yield name.strip("'\"")
