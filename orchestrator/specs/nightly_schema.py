"""Declare the sections of a nightly file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.nightly import EXTRA, EXTRA_MOST, BaselineChoice, BaselineRule
from orchestrator.domain.quoting import quoted
from orchestrator.domain.selector import parse_selector
from orchestrator.specs.runtime import RUNTIME_PATTERN, parse_runtime
from orchestrator.specs.runtime_schema import Argument
from orchestrator.specs.schema import Refused, Section, refusing
from orchestrator.specs.words import FormatName, Name, Text, pattern

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
RuntimeLabel = Annotated[str, AfterValidator(refusing(_is_pinned_runtime)), pattern(RUNTIME_PATTERN)]
BaselineText = Annotated[str, AfterValidator(_is_baseline), pattern(rf"last-good|pinned|\s*{_ROLLING.pattern}\s*")]
Effect = Annotated[float, Field(gt=0, lt=1)]
Effects = Effect | dict[SelectorText, Effect]


class CandidateSection(Section):
    """Declare what is new: artifacts by model and variant, the command that makes the files, runtimes by the old."""

    artifacts: dict[Name, Annotated[dict[Name, Text | dict[FormatName, Text]], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """New files, by model and variant; a file, or a file for each format."""
    command: list[Argument] | None = Field(default=None, min_length=1)
    """The words of a command that makes the files before the night; needs --allow-command."""
    command_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """The longest time of the command, in seconds."""
    runtimes: dict[RuntimeLabel, RuntimeLabel] = Field(default_factory=dict)
    """New runtimes, each by the old one."""


class DeviceTimeSection(Section):
    """Declare the device time for second looks and confirmations, in plain nights."""

    extra: Annotated[float, Field(gt=0, le=1)] = EXTRA
    """The usual time for second looks and reruns, as a share of the plain night's."""
    extra_most: Annotated[float, Field(gt=0, le=100)] = EXTRA_MOST
    """The most time of it in one night on one device."""


class ConfirmSection(Section):
    """Declare how many trials a side a confirmation has at most."""

    trials_most: Literal[5, 10, 20, 30] = 30
    """Trials on each side of a confirmation, at most."""


class OutputsSection(Section):
    """Declare the files that a night writes. `{night}` stands for the night's id."""

    html: Text | None = None
    """A page of the night."""
    junit: Text | None = None
    """Test cases of the night."""
    markdown: Text | None = None
    """A text of the night, for a pull request."""
    json_: Text | None = Field(default=None, alias="json")
    """The night as `nightly show --json` prints it."""


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
    """The name of the nightly."""
    sweeps: list[Text] = Field(min_length=1)
    """What is measured: sweep files, relative to this file."""
    devices: SelectorText = "all"
    """The devices, in the words of --select."""
    canaries: list[Text] = Field(default_factory=list)
    """Sweeps of models that never change, measured first."""
    candidate: CandidateSection = CandidateSection()
    """What is new tonight. Without it, what the sweeps say tonight."""
    baseline: BaselineText = BaselineChoice.LAST_GOOD.value
    """What the night is compared with: last-good, pinned, or rolling and a number of nights."""
    min_effects: dict[str, Effects] = Field(default_factory=dict)
    """The smallest change that counts, by metric, or by metric and class of device."""
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)] | None = None
    """The largest drop in accuracy that passes."""
    device_time: DeviceTimeSection = DeviceTimeSection()
    """The time for second looks and reruns."""
    confirm: ConfirmSection = ConfirmSection()
    """How a suspect is confirmed."""
    notify: list[Text] = Field(default_factory=list)
    """Whom to tell: Apprise addresses, or names of environment variables that hold them."""
    outputs: OutputsSection = OutputsSection()
    """Files that the night writes. `{night}` stands for the id of the night."""
