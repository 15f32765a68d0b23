"""Find contradictions in a sweep of well-formed sections: doubles, unknown names, rules without effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from device_worker.protocol.settings import parse_options
from orchestrator.domain.cpus import parse_cpus
from orchestrator.domain.expansion import RULE_KEYS
from orchestrator.domain.model import Model
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import CALL, CALLS, ENGINES, RUNTIMES, engine_of
from orchestrator.domain.sweep import MODEL, Setting, setting_text, stable_setting
from orchestrator.specs.demands import wrong_demands
from orchestrator.specs.document import Place
from orchestrator.specs.model import MODEL_FILE
from orchestrator.specs.schema import Complaint, words_of
from orchestrator.specs.sweep_schema import SweepSection

CELLS_MAX = 10_000
TRIALS_MAX = 100_000
BATCH_MAX = 65_536
CONNECTIONS_MAX = 1_024
_UNNAMED_INPUT = "input"


def model_or_models(data: object) -> Iterator[Complaint]:
    """Yield a complaint for a sweep without any model, or with both keys for models."""
    given = [key for key in ("model", "models") if isinstance(data, dict) and key in data]
    if not given and isinstance(data, dict):
        yield Complaint((), "missing key 'model'")
    elif len(given) > 1:
        yield Complaint(("models",), "a sweep has `model` or `models`", "keep one of the two")


def contradictions(
    section: SweepSection, runtimes: Sequence[RuntimeSpec], models: Sequence[Model]
) -> Iterator[Complaint]:
    """Yield a complaint for each contradiction: a sweep without meaning, or with another meaning than intended."""
    yield from _doubles(("variants",), section.variants)
    yield from _doubles(("runtimes",), [runtime.label for runtime in runtimes])
    for key, values in section.matrix.items():
        # Stable: results of -0.0 and of 0.0 would be one row of the database.
        yield from _doubles(
            ("matrix", key), [setting_text(value if value is None else stable_setting(value)) for value in values]
        )
    yield from _models_alike(models)
    yield from _unknown_to_models(section, models)
    yield from _wrong_settings(section, runtimes, len(models) > 1)
    yield from _wrong_rules(section, runtimes, models)
    yield from _wrong_policies(section)
    yield from _unknown_inputs(runtimes, models)
    yield from _idle_delegates(section)
    yield from wrong_demands(section)
    if section.stop is not None and "trials" in section.model_fields_set:
        yield Complaint(("trials",), "`trials` beside `stop`: which one counts?", "write stop: {trials_max: …} alone")
    names = section.variants
    yield from _too_many(section, sum(name in model.variants for model in models for name in names or model.variants))


def _unknown_inputs(runtimes: Sequence[RuntimeSpec], models: Sequence[Model]) -> Iterator[Complaint]:
    """Yield a complaint for each input of a template that a model does not declare, as no server describes it."""
    for index, runtime in enumerate(runtimes):
        template = None if runtime.endpoint is None else runtime.endpoint.template
        for model in models if template else ():
            known = [*model.inputs, _UNNAMED_INPUT]
            for name in template.inputs if template else ():
                if name not in known:
                    message = f"the template asks for an input {quoted(name)}, which model {quoted(model.name)} has not"
                    hint = did_you_mean(name, known) or f"it has: {', '.join(known)}"
                    yield Complaint(("runtimes", index, "endpoint", "template", "body"), message, hint)


def _doubles(place: Place, values: Iterable[str]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield Complaint((*place, index), f"{words_of(place)}: {quoted(value)} is there twice")
        seen.add(value)


def _models_alike(models: Sequence[Model]) -> Iterator[Complaint]:
    # Results are kept by the name of the model: two of one name would be one.
    first: dict[str, Model] = {}
    for index, model in enumerate(models):
        if model.name in first:
            both = f"{first[model.name].directory} and {model.directory} are both called {quoted(model.name)}"
            yield Complaint(("models", index), both, f"change `model:` in one {MODEL_FILE}")
        first.setdefault(model.name, model)


def _unknown_to_models(section: SweepSection, models: Sequence[Model]) -> Iterator[Complaint]:
    yield from unknown_variants(section.variants, models)
    for index, model in enumerate(models):
        if section.variants and model.variants.keys().isdisjoint(section.variants) and len(models) > 1:
            message = f"model {quoted(model.name)} has none of the `variants`"
            yield Complaint(("models", index), message, f"it has: {', '.join(model.variants)}")
    if section.accuracy is None:
        return
    place, wanted = ("accuracy", "dataset"), section.accuracy.dataset
    by_model = dict.fromkeys((model.name for model in models), wanted) if isinstance(wanted, str) else wanted
    known = {model.name: model for model in models}
    for name, dataset in by_model.items():
        if name not in known:
            yield Complaint((*place, name), f"no model {quoted(name)} in this sweep", did_you_mean(name, known))
        elif dataset not in known[name].datasets:
            message = f"model {quoted(name)} has no dataset {quoted(dataset)}"
            hint = did_you_mean(dataset, known[name].datasets)
            several = "write dataset: {MODEL: NAME}, with the models that have one" if len(models) > 1 else None
            yield Complaint(place if isinstance(wanted, str) else (*place, name), message, hint or several)


def unknown_variants(names: Sequence[object], models: Sequence[Model]) -> Iterator[Complaint]:
    """Yield a complaint for each name that is no variant of any of the models. What is no text is no name."""
    known = [variant for model in models for variant in model.variants]
    for index, name in enumerate(names):
        if isinstance(name, str) and name not in known:
            of = f"model {quoted(models[0].name)} has" if len(models) == 1 else "none of the models has"
            what = "no variant" if len(models) == 1 else "a variant"
            yield Complaint(("variants", index), f"{of} {what} {quoted(name)}", did_you_mean(name, known))


def _wrong_settings(section: SweepSection, runtimes: Sequence[RuntimeSpec], several: bool) -> Iterator[Complaint]:
    for key, values in section.matrix.items():
        if key in RULE_KEYS or (several and key == MODEL):
            yield Complaint(
                ("matrix", key), f"{quoted(key)} cannot be a setting: exclude rules mean something else by it"
            )
            continue
        for runtime in runtimes:
            known = engine_of(runtime).settings  # what `call` leads to has no further setting
            # Beside null, cells with a value are left out where a runtime has no such setting.
            if known is not None and key not in known and None not in values:
                message = f"{runtime.label} has no setting {quoted(key)}"
                yield Complaint(("matrix", key), message, did_you_mean(key, known))
                break  # one complaint for the key: the other runtimes would repeat it
        if values == [None]:
            yield Complaint(("matrix", key, 0), f"matrix.{key}: no cell would have the setting", "leave the key out")
        is_own = any(key in (engine_of(runtime).settings or ()) for runtime in runtimes)
        check = _SETTING_CHECKS.get(key) or (_OWN_CHECKS.get(key) if is_own else None)
        for index, value in enumerate(values):
            wrong = check(value) if check and value is not None else None
            if wrong:
                yield Complaint(("matrix", key, index), f"matrix.{key}: {wrong}")


def _check_threads(value: Setting) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return None
    return f"expected a whole number, at least 1, not {setting_text(value)}"


def _check_cpus(value: Setting) -> str | None:
    try:
        # As text: YAML reads `cpus: 3` as a number.
        parse_cpus(setting_text(value))
    except ValueError as error:
        return str(error)
    return None


def _check_delegate(value: Setting) -> str | None:
    if isinstance(value, str) and value and "\0" not in value:
        return None
    return f"expected a shared library of the device, xnnpack or none, not {setting_text(value) or 'nothing'}"


def _check_options(value: Setting) -> str | None:
    try:
        parse_options(value)
    except ValueError as error:
        return str(error)
    return None


def _check_provider(value: Setting) -> str | None:
    if isinstance(value, str) and value.isidentifier():
        return None
    return f"expected an execution provider such as CPUExecutionProvider, not {setting_text(value) or 'nothing'}"


def _check_batch(value: Setting) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= BATCH_MAX:
        return None
    return f"expected a number of items from 1 to {BATCH_MAX}, not {setting_text(value)}"


def _check_call(value: Setting) -> str | None:
    if value in CALLS:
        return None
    return f"expected one of {', '.join(CALLS)}, not {setting_text(value) or 'nothing'}"


def _check_connections(value: Setting) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= CONNECTIONS_MAX:
        return None
    return f"expected a number of connections from 1 to {CONNECTIONS_MAX}, not {setting_text(value)}"


def _check_words(*known: str) -> Callable[[Setting], str | None]:
    def check(value: Setting) -> str | None:
        return None if value in known else f"expected one of {', '.join(known)}, not {setting_text(value) or 'nothing'}"

    return check


_SETTING_CHECKS: Mapping[str, Callable[[Setting], str | None]] = {
    "threads": _check_threads,
    "cpus": _check_cpus,
    "delegate": _check_delegate,
    "provider": _check_provider,
    "batch": _check_batch,
    "connections": _check_connections,
    CALL: _check_call,
}
_OWN_CHECKS: Mapping[str, Callable[[Setting], str | None]] = {
    "kernels": _check_words("xnnpack", "builtin", "reference"),
    "precision": _check_words("none", "f32", "bf16", "f16", "int8"),
    "provider_options": _check_options,
    "delegate_options": _check_options,
}
"""Settings of engines that mean something else to programs of people."""


_RULE_WORDS = {
    "exclude": "an exclude rule",
    "allow_failures": "a rule of allow_failures",
    "only": "a rule of only",
}


def _wrong_rules(
    section: SweepSection, runtimes: Sequence[RuntimeSpec], models: Sequence[Model]
) -> Iterator[Complaint]:
    several = {model.name for model in models} if len(models) > 1 else set()
    keys = (*RULE_KEYS, *([MODEL] if several else []), *section.matrix)
    variants = [*dict.fromkeys(name for model in models for name in model.variants)]
    rules = [
        *(("exclude", index, rule) for index, rule in enumerate(section.exclude)),
        *(("allow_failures", index, rule) for index, rule in enumerate(section.allow_failures)),
        *(("only", index, rule) for index, rule in enumerate(section.only)),
    ]
    for name, index, rule in rules:
        for key, value in rule.items():
            place: Place = (name, index, key)
            pattern = setting_text(value)
            if key not in keys:
                yield Complaint(place, f"{_RULE_WORDS[name]} cannot name {quoted(key)}", did_you_mean(key, keys))
            # Variants of the whole model: a rule may stay while a sweep leaves a variant out for a day.
            elif key == "variant" and not _any_fits(pattern, (*section.variants, *variants)):
                message = f"no variant fits {quoted(pattern)}"
                yield Complaint(place, message, did_you_mean(pattern, section.variants or variants))
            elif key == MODEL and several and not _any_fits(pattern, several):
                yield Complaint(place, f"no model fits {quoted(pattern)}", did_you_mean(pattern, sorted(several)))
            elif key == "runtime" and not _is_plausible_runtime(pattern, runtimes):
                message = f"no runtime fits {quoted(pattern)}"
                yield Complaint(place, message, did_you_mean(pattern, [runtime.label for runtime in runtimes]))


def _any_fits(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _is_plausible_runtime(pattern: str, runtimes: Sequence[RuntimeSpec]) -> bool:
    """Return whether a pattern could fit a runtime."""
    # A rule may outlive the runtime that it was written against, and is no mistake then.
    if _any_fits(pattern, (runtime.label for runtime in runtimes)):
        return True
    # `--runtimes` leaves programs and servers out for a day, and a recorded sweep has no trace of them.
    if pattern.startswith((f"{RuntimeSource.EXEC}/", f"{RuntimeSource.ENDPOINT}/")):
        return True
    known = (*RUNTIMES, *(f"{RuntimeSource.SYSTEM}/{name}" for name in ENGINES))
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
    yield from _wrong_scenario(section)
    least_s = measure.warmup.seconds_min + measure.seconds_min
    if trial_s <= least_s:  # every trial would be killed, and the whole sweep would measure nothing
        yield Complaint(
            ("timeouts", "trial_s"),
            f"a trial of {least_s:g} s (warm-up and measurement at the least) never ends within {trial_s:g} s",
        )


_NEEDED = {"multi-stream": ("streams",), "server": ("rate_per_s", "p99_ms_max")}


def _wrong_scenario(section: SweepSection) -> Iterator[Complaint]:
    measure = section.measure
    for scenario, keys in _NEEDED.items():
        given = [key for key in keys if getattr(measure, key) is not None]
        if measure.scenario == scenario and not given:
            hint = f"measure: {{{keys[0]}: …}}"
            yield Complaint(("measure", "scenario"), f"{scenario} needs {' or '.join(keys)}", hint)
        elif measure.scenario != scenario:
            yield from (Complaint(("measure", key), f"{key} is of the scenario {scenario}") for key in given)
        elif len(given) > 1:
            yield Complaint(("measure", given[1]), "a rate is named or searched", f"keep {' or '.join(given)}")


def _idle_delegates(section: SweepSection) -> Iterator[Complaint]:
    if "delegates" in section.model_fields_set and not {"delegate", "provider"} & set(section.matrix):
        message = "no cell asks for a delegate or a provider"
        yield Complaint(("delegates",), message, "write matrix: {delegate: [xnnpack]}, or leave this out")


def _too_many(section: SweepSection, variants: int) -> Iterator[Complaint]:
    # Counted, not expanded: a few short lines can mean billions of cells.
    cells = variants * len(section.runtimes) * math.prod(map(len, section.matrix.values()))
    if cells > CELLS_MAX:
        yield Complaint((), f"{cells} cells; a sweep has at most {CELLS_MAX}", "split it")
        return
    trials = cells * (section.trials if section.stop is None else section.stop.trials_max)
    if trials > TRIALS_MAX:
        place = ("trials",) if section.stop is None else ("stop", "trials_max")
        yield Complaint(place, f"{trials} trials on each device; at most {TRIALS_MAX}")
