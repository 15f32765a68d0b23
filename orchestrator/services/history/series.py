"""Find series by the words of people: an id, the words of a table, or a rule with names and globs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import read_rule
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.series import Series
from orchestrator.domain.sweep import setting_text
from orchestrator.store.base import SeriesRecords

SERIES_MAX = 50
"""So many series are read by one request: nobody reads more lines, and a glob may match a whole fleet."""
_FORMS = "a series is an id, or a rule such as 'device=pi-03,variant=int8,threads=2'; globs work"
_GLOB = frozenset("*?[")
_BETWEEN = " · "


def picked_series(texts: Sequence[str], records: SeriesRecords) -> Sequence[Series]:
    """Return the series named by the texts, each once, in the order of the texts.

    Raise ConfigError for a text without a series, and for more than SERIES_MAX series.
    """
    found: dict[int, Series] = {}
    for text in texts:
        matched = _matching(text, records)
        if not matched:
            raise ConfigError(f"no series matches {text!r}", _hint(text, records))
        found |= {one.id: one for one in matched}
    if len(found) > SERIES_MAX:
        raise ConfigError(
            f"{len(found)} series match, of which one request reads {SERIES_MAX}",
            "narrow the rule, such as by device=NAME or variant=NAME",
        )
    return list(found.values())


def _matching(text: str, records: SeriesRecords) -> Sequence[Series]:
    if text.isascii() and text.isdigit():
        # A database has no longer ids, and a longer number is none that it takes.
        return records.find_series(ids=[int(text)]) if len(text) <= 18 else ()
    if _BETWEEN in text:
        return [one for one in records.find_series(device=text.partition(_BETWEEN)[0]) if one.label == text]
    rule = _rule(text)
    candidates = records.find_series(device=_exact(rule, "device"), variant=_exact(rule, "variant"))
    return [one for one in candidates if _fits(rule, one)]


def _rule(text: str) -> Mapping[str, str]:
    try:
        return read_rule(text, "")
    except ConfigError:
        raise ConfigError(f"{text!r} names no series", _FORMS) from None


def _exact(rule: Mapping[str, str], name: str) -> str | None:
    """Return a value of a rule that is no glob: the database then reads few rows."""
    wanted = rule.get(name)
    return wanted if wanted is not None and not _GLOB & set(wanted) else None


def _fits(rule: Mapping[str, str], series: Series) -> bool:
    named = names_of(series)
    return all(name in named and fnmatchcase(named[name], wanted) for name, wanted in rule.items())


def names_of(series: Series) -> Mapping[str, str]:
    """Return what a rule can name of a series. A setting called like a coordinate is spelled `settings.NAME`."""
    named = {"device": series.device, "model": series.model, "variant": series.variant, "runtime": series.runtime}
    for name, value in series.settings.items():
        named[f"settings.{name}" if name in named else name] = setting_text(value)
    return named


def _hint(text: str, records: SeriesRecords) -> str:
    everything = records.find_series()
    if not everything:
        return "this database has no series yet: benchfleet run makes the first ones; is it the right --db?"
    return next(_near_misses(text, everything), _FORMS)


def _near_misses(text: str, series: Sequence[Series]) -> Iterator[str]:
    """Yield a hint for each part of a rule that nothing matches."""
    for name, wanted in (part.strip().partition("=")[::2] for part in text.split(",")):
        values = {names_of(one)[name] for one in series if name in names_of(one)}
        if not values and wanted:
            yield did_you_mean(name, sorted({key for one in series for key in names_of(one)}))
        elif wanted and not any(fnmatchcase(value, wanted) for value in values):
            yield did_you_mean(wanted, sorted(values))
