"""Hold the common words of the consoles of both databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import nearest

LOCKED_OUT = "only reading is possible here"
HINT = (
    "views to begin with: v_cell, v_latest, v_history, v_attempt, v_variant_compare; "
    "benchfleet db schema lists everything"
)
_OUT_OF_SIGHT = "this user sees no table: SHOW search_path tells where the session looks (benchfleet's own is public)"
_COLUMNS_SHOWN = 40
_QUANTILES = frozenset({"median", "quantile", "quantile_cont", "quantiles", "percentile", "approx_quantile"})
"""What other databases call quantiles."""

_UNKNOWN = (
    # SQLite's words, then those of PostgreSQL.
    ("relation", re.compile(r"no such table: (?:main\.)?(\S+)")),
    ("column", re.compile(r"no such column: \"?(?:\w+\.)?(\w+)")),
    ("function", re.compile(r"no such function: (\S+)")),
    ("relation", re.compile(r'relation "(?:\w+\.)?([^"]+)" does not exist')),
    ("column", re.compile(r'column "?(?:\w+\.)?(\w+)"? does not exist')),
    ("function", re.compile(r"function (?:\w+\.)?(\w+)\(.*\) does not exist")),
)


@dataclass(frozen=True, slots=True)
class Names:
    """Hold what a statement can name: each relation with each column, and the functions."""

    columns: Sequence[tuple[str, str]]
    functions: Iterable[str]


def too_long(timeout_s: float) -> ConfigError:
    """Return the error of a statement ended by the time limit."""
    return ConfigError(f"the query took longer than {timeout_s:g} s", "ask for less")


def wrong_statement(said: str, statement: str, names: Callable[[], Names]) -> ConfigError:
    """Return the error of a wrong statement: with the name that was meant, if an unknown name was the mistake."""
    for kind, pattern in _UNKNOWN:
        if found := pattern.search(said):
            return ConfigError(f"SQL: {said}", _meant(kind, found[1], statement, names()) or HINT)
    return ConfigError(f"SQL: {said}", HINT)


def _meant(kind: str, word: str, statement: str, names: Names) -> str | None:
    """Return a hint to the known name that an unknown word stands for, or None without one."""
    if kind == "function":
        return _function_meant(word, names)
    if kind == "relation":
        if not names.columns:
            return _OUT_OF_SIGHT
        close = nearest(word, {relation for relation, _ in names.columns})
        return f"did you mean {close[0]!r}? {HINT}" if close else None
    named = {part.lower() for part in re.findall(r"\w+", statement)}
    here = [(relation, column) for relation, column in names.columns if relation.lower() in named]
    columns = list(dict.fromkeys(column for _, column in here))
    if close := nearest(word, columns):
        return f"did you mean {close[0]!r}?{_listed(here)}"
    elsewhere = [relation for relation, column in names.columns if column == word]
    if here and elsewhere:
        # Views first: tables change with releases.
        return f"{word!r} is a column of {', '.join(sorted(elsewhere, key=_views_first)[:5])}{_listed(here)}"
    return _listed(here).strip() or None


def _views_first(relation: str) -> tuple[bool, str]:
    return not relation.startswith("v_"), relation


def _function_meant(word: str, names: Names) -> str | None:
    if word.lower() in _QUANTILES:
        return (
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY value) is the median, and 0.9 in place of 0.5 another quantile"
        )
    functions = list(names.functions)
    if f"jsonb{word.removeprefix('json')}" in functions and word.startswith("json_"):
        return f"JSON columns are jsonb on PostgreSQL: jsonb{word.removeprefix('json')}"
    if word in functions:
        return f"{word} takes other kinds of values: CAST(… AS real) makes a number of a text"
    close = nearest(word, functions)
    return f"did you mean {close[0]!r}?" if close else None


def _listed(here: Sequence[tuple[str, str]]) -> str:
    """Return the columns of a statement's relation, if there is just one relation."""
    relations = list(dict.fromkeys(relation for relation, _ in here))
    if len(relations) != 1:
        return ""
    columns = [column for _, column in here]
    more = ", …" if len(columns) > _COLUMNS_SHOWN else ""
    return f" {relations[0]} has {', '.join(columns[:_COLUMNS_SHOWN])}{more}"
