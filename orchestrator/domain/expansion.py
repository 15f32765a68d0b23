"""Expand a sweep's grid into cells, and find the reasons against a cell on a device."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.domain.cpus import parse_cpus
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.processors import Processors, count_words
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import MODEL, Setting, Sweep, setting_text, setting_texts

RULE_KEYS = ("device", "variant", "runtime")
"""The keys of an exclude rule beside the keys of the matrix."""


_RULE = "exclude rule"  # databases hold reasons with this beginning, which `is_by_rule` looks for
_COUNTED = "has a counted result"  # as `_RULE`
_BETWEEN = " · "  # databases hold labels divided by this, which `coordinates_of` reads back
_WITHIN = "/"  # no name of a model or variant has one


@dataclass(frozen=True, slots=True)
class GridCell:
    """Combine a variant, a runtime and settings, independent of devices. `model` is None in a sweep of one model."""

    variant: str
    runtime: RuntimeSpec
    settings: Mapping[str, Setting]
    model: str | None = None

    @property
    def label(self) -> str:
        """Return the cell in words: `int8 · tflite-runtime==2.14.0 · threads=1`, with the model `face/int8 · …`."""
        return label_of(self.variant, self.runtime.label, self.settings, self.model)


def expand(sweep: Sweep) -> Iterator[GridCell]:
    """Return all combinations, in the declared order of axes and values."""
    keys = tuple(sweep.matrix)
    for (model, variant), runtime in itertools.product(swept_variants(sweep), sweep.runtimes):
        for values in itertools.product(*sweep.matrix.values()):
            pairs = zip(keys, values, strict=True)
            yield GridCell(variant, runtime, {key: value for key, value in pairs if value is not None}, model)


def swept_variants(sweep: Sweep) -> list[tuple[str | None, str]]:
    """Return the variants of a sweep, each with its model; None in a sweep of one model."""
    if sweep.models:
        return [(model.name, variant) for model in sweep.models for variant in model.variants]
    return [(None, variant) for variant in sweep.variants]


def rule_against(sweep: Sweep, device: str, cell: GridCell) -> str | None:
    """Return the first exclude rule matching a cell on a device, in words, or None without a match."""
    values = _values_of(cell, device)
    for number, rule in enumerate(sweep.exclude, 1):
        if _matches(rule, values):
            words = ", ".join(f"{key}: {setting_text(wanted)}" for key, wanted in rule.items())
            return f"{_RULE} {number} of the sweep ({words})"
    return None


def is_in_grid(sweep: Sweep, device: str, cell: GridCell) -> bool:
    """Say whether a cell belongs to the sweep on a device: whether any rule of `only` matches, if there are any."""
    return not sweep.only or any(_matches(rule, _values_of(cell, device)) for rule in sweep.only)


def _values_of(cell: GridCell, device: str) -> dict[str, Setting]:
    return _values(device, cell.model, cell.variant, cell.runtime.label, cell.settings)


def _values(
    device: str, model: str | None, variant: str, runtime: str, settings: Mapping[str, Setting]
) -> dict[str, Setting]:
    """Return what a rule can name of a cell. The model has a name in sweeps of several models alone."""
    named = {} if model is None else {MODEL: model}
    return {"device": device, **named, "variant": variant, "runtime": runtime, **settings}


def read_rule(text: str, option: str) -> Mapping[str, str]:
    """Read a rule of names and globs, such as `variant=int8,threads=1`. Raise ConfigError for a text that is none."""
    rule = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if not all(key and value for key, value in rule.items()):
        raise ConfigError(f"{option} {text!r} names no cell", f"such as {option} 'variant=int8,threads=1'")
    return rule


def rule_for(device: str, label: str) -> str:
    """Return the rule that names one cell, given in words, on a device. Signs with a meaning in rules are escaped."""
    values = _values(device, model_in(label), *coordinates_of(label))
    return ",".join(f"{key}={_literal(setting_text(value))}" for key, value in values.items())


def _literal(text: str) -> str:
    # A comma would end the part: there any sign may stand.
    return "".join(f"[{sign}]" if sign in "*?[" else "?" if sign == "," else sign for sign in text)


def names_cell(rules: Iterable[Mapping[str, Setting]], device: str, label: str) -> bool:
    """Say whether any of the rules matches a cell, given in words, on a device."""
    values = _values(device, model_in(label), *coordinates_of(label))
    # As text, which is all that a label has of its settings.
    return any(_matches({key: setting_text(wanted) for key, wanted in rule.items()}, values) for rule in rules)


def _matches(rule: Mapping[str, Setting], values: Mapping[str, Setting]) -> bool:
    return all(key in values and _fits(wanted, values[key]) for key, wanted in rule.items())


def is_by_rule(reason: str) -> bool:
    """Say whether a cell was left out because people say so, rather than because a device cannot run the cell.

    They do so by a rule of the sweep, or by asking for what is missing alone.
    """
    return reason.startswith((_RULE, _COUNTED))


def counted_in(run: str, began: str, trials: int) -> str:
    """Return the reason against a cell that an earlier run has measured."""
    return f"{_COUNTED}: run {run} of {began}, {trials} {'trial' if trials == 1 else 'trials'}"


def is_counted(reason: str) -> bool:
    """Say whether a cell was left out because an earlier run has measured it."""
    return reason.startswith(_COUNTED)


def label_of(variant: str, runtime: str, settings: Mapping[str, Setting], model: str | None = None) -> str:
    """Return a cell in words, from its coordinates. `model` is given where the sweep has several models."""
    named = variant if model is None else f"{model}{_WITHIN}{variant}"
    return _BETWEEN.join((named, runtime, *setting_texts(settings.items())))


def coordinates_of(label: str) -> tuple[str, str, dict[str, Setting]]:
    """Return variant, runtime and settings, as text, from a cell in words."""
    variant, runtime, *settings = label.split(_BETWEEN)
    return variant.rpartition(_WITHIN)[2], runtime, dict(setting.partition("=")[::2] for setting in settings)


def model_in(label: str) -> str | None:
    """Return the model that a cell's words name, or None: a cell of a sweep of one model names none."""
    return label.partition(_BETWEEN)[0].rpartition(_WITHIN)[0] or None


def with_model(label: str, model: str) -> str:
    """Return a cell in words that name the model, whether the run has several models or not."""
    return label if model_in(label) else f"{model}{_WITHIN}{label}"


def without_model(label: str) -> str:
    """Return a cell in words that name no model."""
    model = model_in(label)
    return label if model is None else label.removeprefix(f"{model}{_WITHIN}")


def hardware_against(settings: Mapping[str, Setting], processors: Processors) -> str | None:
    """Return the reason why a device cannot honour the settings, or None if there is no known reason."""
    threads, listed = settings.get("threads"), settings.get("cpus")
    # YAML reads `cpus: 3` as a number.
    cpus = frozenset(parse_cpus(str(listed))) if listed is not None else frozenset()
    if cpus and isinstance(threads, int) and threads > len(cpus):
        return f"{threads} threads pinned to {count_words(len(cpus))} (cpus={listed})"
    if cpus:  # pinned threads may use what an unpinned trial may not
        against = processors.against_pinning(cpus)
        return None if against is None else f"cpus={listed}: {against}"
    return processors.against_threads(threads) if isinstance(threads, int) else None


def _fits(wanted: Setting, value: Setting) -> bool:
    if isinstance(wanted, str):
        return fnmatchcase(setting_text(value), wanted)
    # 1 and 1.0 are the same number, but True is not 1.
    return setting_text(value) == setting_text(wanted) or (
        not isinstance(wanted, bool) and not isinstance(value, bool | str) and value == wanted
    )
