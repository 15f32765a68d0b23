"""Declare the sections of a nightly file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.nightly import EXTRA, EXTRA_MOST, BaselineChoice, BaselineRule
from orchestrator.domain.quoting import quoted
from orchestrator.domain.selector import parse_selector
from orchestrator.specs.runtime import parse_runtime
from orchestrator.specs.schema import Refused, Section, refusing
from orchestrator.specs.sweep_schema import Argument
from orchestrator.specs.words import FormatName, Name, Text

_ROLLING = re.compile(r"rolling +([1-9][0-9]{0,2})")
_NIGHTLY_CHARACTERS_MAX = 40
"""The longest name of a nightly: a night's id, with a date, has 64 characters at most."""


def baseline_rule(text: str) -> BaselineRule:
    """Return the rule that a nightly file writes as `last-good`, `pinned` or `rolling 7`. Raise Refused."""
    rolling = _ROLLING.fullmatch(text.strip())
    if rolling is not None:
        return BaselineRule(BaselineChoice.ROLLING, int(rolling[1]))
    plain = (BaselineChoice.LAST_GOOD.value, BaselineChoice.PINNED.value)
    if text in plain:
        return BaselineRule(BaselineChoice(text))
    raise Refused(f"{quoted(text)} is not a baseline", "last-good, pinned, or rolling and a number of nights")


def _is_baseline(text: str) -> str:
    baseline_rule(text)
    return text


def _is_selector(text: str) -> str:
    parse_selector(text)
    return text


def _is_short(text: str) -> str:
    if len(text) > _NIGHTLY_CHARACTERS_MAX:
        raise Refused(f"{quoted(text)} is longer than {_NIGHTLY_CHARACTERS_MAX} characters")
    return text


def _is_pinned_runtime(text: str) -> str:
    return parse_runtime(text).label


SelectorText = Annotated[str, AfterValidator(refusing(_is_selector))]
RuntimeLabel = Annotated[str, AfterValidator(refusing(_is_pinned_runtime))]
Effect = Annotated[float, Field(gt=0, lt=1)]
Effects = Effect | dict[SelectorText, Effect]


class CandidateSection(Section):
    """Declare what is new: artifacts by model and variant, the command that makes the files, runtimes by the old."""

    artifacts: dict[Name, Annotated[dict[Name, Text | dict[FormatName, Text]], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    command: list[Argument] | None = Field(default=None, min_length=1)
    command_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    runtimes: dict[RuntimeLabel, RuntimeLabel] = Field(default_factory=dict)


class DeviceTimeSection(Section):
    """Declare the device time for second looks and confirmations, in plain nights."""

    extra: Annotated[float, Field(gt=0, le=1)] = EXTRA
    extra_most: Annotated[float, Field(gt=0, le=100)] = EXTRA_MOST


class ConfirmSection(Section):
    """Declare how many trials a side a confirmation has at most."""

    trials_most: Literal[5, 10, 20, 30] = 30


class OutputsSection(Section):
    """Declare the files that a night writes. `{night}` stands for the night's id."""

    html: Text | None = None
    junit: Text | None = None
    markdown: Text | None = None
    json_: Text | None = Field(default=None, alias="json")


class NightlySection(Section):
    """Declare a whole nightly file."""

    advice: ClassVar[Mapping[str, str]] = {
        "name": "did you mean 'nightly'?",
        "sweep": "write sweeps: [sweeps/quickstart.yaml]",
        "metrics": "write min_effects: {latency: 0.02}",
        "select": "did you mean 'devices'?",
        "tell": "did you mean 'notify'?",
    }

    nightly: Annotated[Name, AfterValidator(_is_short)]
    sweeps: list[Text] = Field(min_length=1)
    devices: SelectorText = "all"
    canaries: list[Text] = Field(default_factory=list)
    candidate: CandidateSection = CandidateSection()
    baseline: Annotated[str, AfterValidator(_is_baseline)] = BaselineChoice.LAST_GOOD.value
    min_effects: dict[str, Effects] = Field(default_factory=dict)
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)] | None = None
    device_time: DeviceTimeSection = DeviceTimeSection()
    confirm: ConfirmSection = ConfirmSection()
    notify: list[Text] = Field(default_factory=list)
    outputs: OutputsSection = OutputsSection()
