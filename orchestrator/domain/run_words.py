"""Hold the words of people about a run: name, note, tags, the commit behind the sweep, and an exclusion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted

# A run's id begins with a digit, and so does a date.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({"last", "last-before", "last-good"})
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._/-]{0,63}")
_VALUE_MAX, _TAGS_MAX = 200, 100


@dataclass(frozen=True, slots=True)
class Commit:
    """Name the git commit of a sweep's folder. `dirty`: tracked files differed from the commit."""

    sha: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Hold a person's decision that a run does not count. `who` is user@host."""

    reason: str
    who: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NewWords:
    """Hold the words that a run begins with. `who` is user@host."""

    who: str = ""
    name: str | None = None
    note: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    commit: Commit | None = None


@dataclass(frozen=True, slots=True)
class RunWords:
    """Hold the words on record. `noted_by` and `noted_at` belong to the note.

    `started_by` is who started or submitted the run: user@host, None for a run of an older release.
    """

    name: str | None = None
    note: str | None = None
    noted_by: str | None = None
    noted_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    commit: Commit | None = None
    exclusion: Exclusion | None = None
    started_by: str | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """Count what the deletion of a run has removed from the database. `name` is the run's, if any."""

    run: str
    name: str | None
    devices: int
    trials: int
    attempts: int
    measurements: int
    annotations: int


def checked_run_name(name: str) -> str:
    """Return the name of a run. Raise ConfigError for a name like a run's id, a date, or a word with a meaning."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError(
            f"{quoted(name)} cannot name a run",
            "a letter, then letters, digits, dots, dashes and underscores, at most 64; none of "
            + ", ".join(sorted(_RESERVED)),
        )
    return name


def read_tags(texts: Sequence[str]) -> Mapping[str, str]:
    """Return tags by key, from texts such as `branch=main`. Raise ConfigError for other texts, and for a key twice."""
    tags: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"{quoted(text)} is no tag", "KEY=VALUE, such as branch=main")
        if checked_key(key) in tags:
            raise ConfigError(f"tag {key} is given twice", "a run has one value of a tag")
        if not value or len(value) > _VALUE_MAX or not value.isprintable():
            raise ConfigError(
                f"tag {key}: {quoted(value)} is no value", f"1 to {_VALUE_MAX} characters that can be printed"
            )
        tags[key] = value
    if len(tags) > _TAGS_MAX:
        raise ConfigError(f"{len(tags)} tags are too many for a run", f"at most {_TAGS_MAX}")
    return tags


def checked_key(key: str) -> str:
    """Return the key of a tag. Raise ConfigError for any other text."""
    if not _KEY.fullmatch(key):
        raise ConfigError(f"{quoted(key)} is no key of a tag", "a letter, then letters, digits, '.', '_', '/' and '-'")
    return key
