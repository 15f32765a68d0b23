"""Expand a sweep's grid into cells, and say which of them cannot or shall not run on a device."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.domain.cpus import parse_cpus
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Setting, Sweep

RULE_KEYS = ("device", "variant", "runtime")
"""What an exclude rule may name beside the keys of the matrix."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """One combination of variant, runtime and settings, before any device."""

    variant: str
    runtime: RuntimeSpec
    settings: Mapping[str, Setting]

    @property
    def label(self) -> str:
        """Return the cell as people read it: `int8 · tflite-runtime==2.14.0 · threads=1`."""
        settings = (f"{key}={setting_text(value)}" for key, value in self.settings.items())
        return " · ".join((self.variant, self.runtime.label, *settings))


def expand(sweep: Sweep) -> Iterator[GridCell]:
    """Return every combination, in the order in which the sweep declares its axes and their values."""
    keys = tuple(sweep.matrix)
    for variant, runtime in itertools.product(sweep.variants, sweep.runtimes):
        for values in itertools.product(*sweep.matrix.values()):
            yield GridCell(variant, runtime, dict(zip(keys, values, strict=True)))


def rule_against(sweep: Sweep, device: str, cell: GridCell) -> str | None:
    """Return which exclude rule of the sweep matches a cell on a device, in words; None if none does."""
    values = {"device": device, "variant": cell.variant, "runtime": cell.runtime.label, **cell.settings}
    for number, rule in enumerate(sweep.exclude, 1):
        if all(key in values and _fits(wanted, values[key]) for key, wanted in rule.items()):
            words = ", ".join(f"{key}: {setting_text(wanted)}" for key, wanted in rule.items())
            return f"exclude rule {number} of the sweep ({words})"
    return None


def hardware_against(settings: Mapping[str, Setting], cpu_count: int | None) -> str | None:
    """Return why a device with so many processors cannot honour these settings; None if it can, or nobody knows."""
    threads, listed = settings.get("threads"), settings.get("cpus")
    cpus = parse_cpus(str(listed)) if listed is not None else ()
    if cpu_count is not None and isinstance(threads, int) and threads > cpu_count:
        return f"{threads} threads on a device of {_processors(cpu_count)}"
    if cpus and isinstance(threads, int) and threads > len(cpus):
        return f"{threads} threads pinned to {_processors(len(cpus))} (cpus={listed})"
    if cpu_count is not None and cpus and cpus[-1] >= cpu_count:
        return f"cpus={listed} on a device of {_processors(cpu_count)}"
    return None


def setting_text(value: Setting) -> str:
    """Return a setting as a sweep file writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fits(wanted: Setting, value: Setting) -> bool:
    if isinstance(wanted, str):
        return fnmatchcase(setting_text(value), wanted)
    return setting_text(value) == setting_text(wanted) or (
        not isinstance(wanted, bool) and not isinstance(value, bool | str) and value == wanted
    )


def _processors(count: int) -> str:
    return f"{count} processor{'' if count == 1 else 's'}"
