"""What a sweep file may say, part by part; whether the parts fit each other is for `sweep_checks`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, model_validator

from orchestrator.domain.runtime import RuntimeSource
from orchestrator.domain.sweep import Setting
from orchestrator.specs.runtime import EXEC_FORM, parse_runtime
from orchestrator.specs.schema import Refused, Section, refusing
from orchestrator.specs.words import Name, Text


def _is_setting(value: Any) -> Setting:
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("expected a finite number")
    if isinstance(value, bool | int | float | str):
        return value
    raise Refused("expected a number, text, true or false")


def _is_key(key: str) -> str:
    if not key.isascii() or not key.isidentifier() or key != key.lower():
        raise Refused(f"{key!r} is not a setting's name: lower-case letters, digits and '_'")
    return key


def _is_argument(text: str) -> str:
    if "\0" in text:
        raise Refused("has a NUL character")
    return text


def _is_runtime(text: str) -> str:
    parse_runtime(text)
    return text


def _form_of_runtime(value: Any) -> str:
    return RuntimeSource.EXEC.value if isinstance(value, dict) else RuntimeSource.BUNDLE.value


SettingValue = Annotated[Setting, PlainValidator(_is_setting)]
SettingKey = Annotated[str, AfterValidator(_is_key)]
Argument = Annotated[str, AfterValidator(_is_argument)]
RuntimeText = Annotated[str, AfterValidator(refusing(_is_runtime))]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Runs = Annotated[int, Field(ge=0, le=1_000_000_000)]


class ExecSection(Section):
    """A program of the user's: its name, its command, and the files it needs beside the model."""

    name: Name
    command: list[Argument] = Field(min_length=1)
    files: list[Text] = Field(default_factory=list)


class ExecEntry(Section):
    """An entry of `runtimes` that is a program."""

    exec_: ExecSection = Field(alias="exec")

    @model_validator(mode="before")
    @classmethod
    def _is_exec(cls, value: Any) -> Any:
        """Say it once if this is no program at all, not once for each key."""
        if isinstance(value, dict) and "exec" not in value:
            raise Refused("neither the name of a runtime nor `exec`", EXEC_FORM)
        return value


RuntimeEntry = Annotated[
    Annotated[RuntimeText, Tag(RuntimeSource.BUNDLE.value)] | Annotated[ExecEntry, Tag(RuntimeSource.EXEC.value)],
    Discriminator(_form_of_runtime),
]


class WarmupSection(Section):
    """When a trial is warm: both conditions."""

    runs_min: Runs = 5
    seconds_min: Seconds = 0.3


class MeasureSection(Section):
    """When a trial has measured enough: both minima, or a maximum."""

    advice: ClassVar[Mapping[str, str]] = {
        "trials": "`trials` stands at the top level",
        "warmup_runs_min": "write warmup: {runs_min: …, seconds_min: …}",
        "warmup_seconds_min": "write warmup: {runs_min: …, seconds_min: …}",
    }

    warmup: WarmupSection = WarmupSection()
    runs_min: Annotated[int, Field(ge=1, le=1_000_000_000)] = 50
    seconds_min: Seconds = 1.0
    seconds_max: Annotated[float, Field(gt=0, le=86_400)] = 20.0
    runs_max: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000


class AccuracySection(Section):
    """By which data set to judge outputs, and how."""

    dataset: Text
    metric: Literal["top1"] = "top1"


class OrderSection(Section):
    """In which order trials run."""

    interleave: bool = True
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0


class RetriesSection(Section):
    """How many more attempts a trial gets."""

    failed: Annotated[int, Field(ge=0, le=10)] = 0
    invalid: Annotated[int, Field(ge=0, le=10)] = 1


class TimeoutsSection(Section):
    """When to give up."""

    trial_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0


class SweepSection(Section):
    """A whole sweep file."""

    advice: ClassVar[Mapping[str, str]] = {
        "name": "did you mean 'sweep'?",
        "seed": "write order: {seed: …}",
        "interleave": "write order: {interleave: …}",
        "threads": "write matrix: {threads: […]}",
        "warmup": "write measure: {warmup: …}",
        "devices": "devices are picked with --select; a rule such as exclude: [{device: pi-*}] leaves some out",
    }

    sweep: Name
    model: Text
    variants: list[Name] = Field(min_length=1)
    runtimes: list[RuntimeEntry] = Field(min_length=1)
    matrix: dict[SettingKey, Annotated[list[SettingValue], Field(min_length=1)]] = Field(default_factory=dict)
    exclude: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    measure: MeasureSection = MeasureSection()
    trials: Annotated[int, Field(ge=1, le=1000)] = 5
    accuracy: AccuracySection | None = None
    order: OrderSection = OrderSection()
    retries: RetriesSection = RetriesSection()
    timeouts: TimeoutsSection = TimeoutsSection()
