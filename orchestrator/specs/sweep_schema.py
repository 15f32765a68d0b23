"""Declare the sections of a sweep file. `sweep_checks` compares the sections with each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, model_validator

from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSource
from orchestrator.domain.sweep import Setting
from orchestrator.specs.conditions import ConditionsSection
from orchestrator.specs.runtime import EXEC_FORM, parse_runtime
from orchestrator.specs.schema import Refused, Section, refusing
from orchestrator.specs.words import FormatName, Name, Text

_SETTING_CHARACTERS_MAX = 1_000
_ARGUMENT_BYTES_MAX = 100_000
"""Below MAX_ARG_STRLEN of Linux, which is 131,072."""


def _is_setting(value: Any) -> Setting:
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("expected a finite number")
    if isinstance(value, str) and len(value) > _SETTING_CHARACTERS_MAX:
        # A setting stands in the label of each of its cells.
        raise Refused(f"{quoted(value)} is longer than {_SETTING_CHARACTERS_MAX} characters")
    if isinstance(value, bool | int | float | str):
        return value
    raise Refused("expected a number, text, true or false")


def _is_key(key: str) -> str:
    # A setting is a key of JSON, a coordinate of `compare`, and a word of a program's command.
    if not key.isascii() or not key.isidentifier() or key != key.lower():
        raise Refused(f"{quoted(key)} is not a setting's name: lower-case letters, digits and '_'")
    return key


def _is_argument(text: str) -> str:
    if "\0" in text:  # no process can be started with such an argument
        raise Refused("has a NUL character")
    if len(text.encode(errors="replace")) > _ARGUMENT_BYTES_MAX:
        raise Refused(f"has more than {_ARGUMENT_BYTES_MAX} bytes: Linux takes no such argument", "write a file")
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
    """Declare a user's program: name, command, files, and the format of the model to read."""

    name: Name
    command: list[Argument] = Field(min_length=1)
    files: list[Text] = Field(default_factory=list)
    format: FormatName | None = None


class ExecEntry(Section):
    """Declare a program among the `runtimes`."""

    exec_: ExecSection = Field(alias="exec")

    @model_validator(mode="before")
    @classmethod
    def _is_exec(cls, value: Any) -> Any:
        """Refuse an entry that is no program at all."""
        # Before the fields, which would complain of every key.
        if isinstance(value, dict) and "exec" not in value:
            raise Refused("neither the name of a runtime nor `exec`", EXEC_FORM)
        return value


RuntimeEntry = Annotated[
    Annotated[RuntimeText, Tag(RuntimeSource.BUNDLE.value)] | Annotated[ExecEntry, Tag(RuntimeSource.EXEC.value)],
    Discriminator(_form_of_runtime),
]


class WarmupSection(Section):
    """Declare the end of a warm-up: both minima are reached."""

    runs_min: Runs = 5
    seconds_min: Seconds = 0.3


class MeasureSection(Section):
    """Declare the end of measuring: both minima are reached, or a maximum."""

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
    """Declare the data set and the metric to judge outputs by."""

    dataset: Text
    metric: Literal["top1"] = "top1"


class OrderSection(Section):
    """Declare the order of trials."""

    interleave: bool = True
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0


class RetriesSection(Section):
    """Declare the further attempts of a trial."""

    failed: Annotated[int, Field(ge=0, le=10)] = 0
    invalid: Annotated[int, Field(ge=0, le=10)] = 1


class TimeoutsSection(Section):
    """Declare the timeouts, in seconds."""

    trial_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0


class SweepSection(Section):
    """Declare a whole sweep file."""

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
    only: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    allow_failures: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    measure: MeasureSection = MeasureSection()
    trials: Annotated[int, Field(ge=1, le=1000)] = 5
    accuracy: AccuracySection | None = None
    order: OrderSection = OrderSection()
    retries: RetriesSection = RetriesSection()
    timeouts: TimeoutsSection = TimeoutsSection()
    limits: ConditionsSection = ConditionsSection()
    profile: Literal["operators"] | None = None
