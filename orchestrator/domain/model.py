"""Models, their variants and their data sets, as model.yaml declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Variant:
    """One artifact of a model: fp32, int8, pruned…; `path` is absolute, `accuracy` its maker's, by metric."""

    name: str
    path: str
    sha256: str
    precision: str
    made: str
    parent: str | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A held-out set of inputs `x` and labels `y` in an .npz file at the absolute `path`."""

    name: str
    path: str
    sha256: str
    samples: int


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What an input looks like, for drawing random ones: values uniform in [low, high)."""

    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Model:
    """A family of variants; `directory` is absolute, `recipe` the script that rebuilds them, if there is one."""

    name: str
    directory: str
    description: str
    task: str
    input: ModelInput
    variants: Mapping[str, Variant]
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    recipe: str | None = None
    license: str | None = None
