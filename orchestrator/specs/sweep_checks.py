"""Find what is wrong with a sweep whose parts are each well formed: doubles, names of nothing, rules about nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from orchestrator.domain.cpus import parse_cpus
from orchestrator.domain.expansion import RULE_KEYS, setting_text
from orchestrator.domain.model import Model
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.runtime import BUNDLE_ENGINES, SYSTEM_ENGINES, RuntimeSource, RuntimeSpec, engine_of
from orchestrator.domain.sweep import Setting
from orchestrator.specs.document import Place
from orchestrator.specs.schema import Complaint, words_of
from orchestrator.specs.sweep_schema import SweepSection

CELLS_MAX = 10_000
TRIALS_MAX = 100_000


def contradictions(section: SweepSection, runtimes: Sequence[RuntimeSpec], model: Model) -> Iterator[Complaint]:
    """Return everything that would make the sweep mean nothing, or something else than its writer thinks."""
    yield from _doubles(("variants",), section.variants)
    yield from _doubles(("runtimes",), [runtime.label for runtime in runtimes])
    for key, values in section.matrix.items():
        yield from _doubles(("matrix", key), [setting_text(value) for value in values])
    yield from _unknown_to_model(section, model)
    yield from _wrong_settings(section, runtimes)
    yield from _wrong_rules(section, runtimes, model)
    yield from _wrong_policies(section)
    yield from _too_many(section)


def _doubles(place: Place, values: Iterable[str]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield Complaint((*place, index), f"{words_of(place)}: {value!r} is there twice")
        seen.add(value)


def _unknown_to_model(section: SweepSection, model: Model) -> Iterator[Complaint]:
    for index, name in enumerate(section.variants):
        if name not in model.variants:
            message = f"model {model.name!r} has no variant {name!r}"
            yield Complaint(("variants", index), message, did_you_mean(name, model.variants))
    if section.accuracy and section.accuracy.dataset not in model.datasets:
        name = section.accuracy.dataset
        message = f"model {model.name!r} has no dataset {name!r}"
        yield Complaint(("accuracy", "dataset"), message, did_you_mean(name, model.datasets))


def _wrong_settings(section: SweepSection, runtimes: Sequence[RuntimeSpec]) -> Iterator[Complaint]:
    for key, values in section.matrix.items():
        if key in RULE_KEYS:
            yield Complaint(("matrix", key), f"{key!r} cannot be a setting: exclude rules mean something else by it")
            continue
        for runtime in runtimes:
            known = engine_of(runtime).settings
            if known is not None and key not in known:
                message = f"{runtime.label} has no setting {key!r}"
                yield Complaint(("matrix", key), message, did_you_mean(key, known))
                break
        check = _SETTING_CHECKS.get(key)
        for index, value in enumerate(values):
            wrong = check(value) if check else None
            if wrong:
                yield Complaint(("matrix", key, index), f"matrix.{key}: {wrong}")


def _check_threads(value: Setting) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return None
    return f"expected a whole number, at least 1, not {setting_text(value)}"


def _check_cpus(value: Setting) -> str | None:
    try:
        parse_cpus(setting_text(value))
    except ValueError as error:
        return str(error)
    return None


_SETTING_CHECKS: Mapping[str, Callable[[Setting], str | None]] = {"threads": _check_threads, "cpus": _check_cpus}


def _wrong_rules(section: SweepSection, runtimes: Sequence[RuntimeSpec], model: Model) -> Iterator[Complaint]:
    keys = (*RULE_KEYS, *section.matrix)
    for index, rule in enumerate(section.exclude):
        for key, value in rule.items():
            place: Place = ("exclude", index, key)
            pattern = setting_text(value)
            if key not in keys:
                yield Complaint(place, f"an exclude rule cannot name {key!r}", did_you_mean(key, keys))
            elif key == "variant" and not _any_fits(pattern, (*section.variants, *model.variants)):
                message = f"no variant fits {pattern!r}"
                yield Complaint(place, message, did_you_mean(pattern, section.variants))
            elif key == "runtime" and not _is_plausible_runtime(pattern, runtimes):
                message = f"no runtime fits {pattern!r}"
                yield Complaint(place, message, did_you_mean(pattern, [runtime.label for runtime in runtimes]))


def _any_fits(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _is_plausible_runtime(pattern: str, runtimes: Sequence[RuntimeSpec]) -> bool:
    """Return whether a pattern could fit something: a rule may outlive the runtime that it was written against."""
    if _any_fits(pattern, (runtime.label for runtime in runtimes)):
        return True
    known = (*BUNDLE_ENGINES, *(f"{RuntimeSource.SYSTEM}/{name}" for name in SYSTEM_ENGINES))
    return _any_fits(pattern.partition("==")[0], known)


def _wrong_policies(section: SweepSection) -> Iterator[Complaint]:
    measure, trial_s = section.measure, section.timeouts.trial_s
    if measure.seconds_max < measure.seconds_min:
        yield Complaint(
            ("measure", "seconds_max"),
            f"seconds_max {measure.seconds_max:g} is less than seconds_min {measure.seconds_min:g}",
        )
    if measure.runs_max < measure.runs_min:
        yield Complaint(
            ("measure", "runs_max"), f"runs_max {measure.runs_max} is less than runs_min {measure.runs_min}"
        )
    least_s = measure.warmup.seconds_min + measure.seconds_min
    if trial_s <= least_s:
        yield Complaint(
            ("timeouts", "trial_s"),
            f"a trial of {least_s:g} s (warm-up and measurement at the least) never ends within {trial_s:g} s",
        )


def _too_many(section: SweepSection) -> Iterator[Complaint]:
    cells = len(section.variants) * len(section.runtimes) * math.prod(map(len, section.matrix.values()))
    if cells > CELLS_MAX:
        yield Complaint((), f"{cells} cells; a sweep has at most {CELLS_MAX}", "split it")
    elif cells * section.trials > TRIALS_MAX:
        yield Complaint(("trials",), f"{cells * section.trials} trials on each device; at most {TRIALS_MAX}")
