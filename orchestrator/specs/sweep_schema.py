"""Declare the sections of a sweep file. `sweep_checks` compares the sections with each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from orchestrator.domain.quoting import quoted
from orchestrator.domain.sweep import Setting
from orchestrator.specs.conditions import ConditionsSection, Governor
from orchestrator.specs.runtime_schema import RuntimeEntry, is_argument
from orchestrator.specs.schema import Refused, Section
from orchestrator.specs.tolerance import ToleranceSection
from orchestrator.specs.words import Name, Percent, Share, Text, pattern

_SETTING_CHARACTERS_MAX = 1_000
_OWN_PREFIX = "BENCHFLEET_"
_VARIABLES_MAX = 100


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


def _is_variable(name: str) -> str:
    if not name.isascii() or not name.isidentifier():
        raise Refused(f"{quoted(name)} is not a variable's name: letters, digits and '_'")
    if name.upper().startswith(_OWN_PREFIX):
        raise Refused(f"{quoted(name)} is benchfleet's own", "programs get settings of the matrix as variables")
    return name


def _is_value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused("expected text, a number, or null for the value of the device's login", "write true as '1'")
    return is_argument(value if isinstance(value, str) else json.dumps(value))


SettingValue = Annotated[
    Setting,
    PlainValidator(_is_setting),
    WithJsonSchema({"type": ["number", "string", "boolean"], "maxLength": _SETTING_CHARACTERS_MAX}),
]
SettingOrNone = Annotated[
    Setting | None,
    PlainValidator(lambda value: None if value is None else _is_setting(value)),
    WithJsonSchema({"type": ["number", "string", "boolean", "null"], "maxLength": _SETTING_CHARACTERS_MAX}),
]
SettingKey = Annotated[str, AfterValidator(_is_key), pattern("[a-z_][a-z0-9_]*")]
VariableName = Annotated[str, AfterValidator(_is_variable), pattern("[A-Za-z_][A-Za-z0-9_]*")]
VariableValue = Annotated[str | None, PlainValidator(_is_value), WithJsonSchema({"type": ["string", "number", "null"]})]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Runs = Annotated[int, Field(ge=0, le=1_000_000_000)]


class WarmupSection(Section):
    """Declare the end of a warm-up: both minima are reached."""

    runs_min: Runs = 5
    """The least number of inferences before the measurement."""
    seconds_min: Seconds = 0.3
    """The least time before the measurement, in seconds."""


class MeasureSection(Section):
    """Declare the end of measuring: both minima are reached, or a maximum."""

    advice: ClassVar[Mapping[str, str]] = {
        "trials": "`trials` stands at the top level",
        "warmup_runs_min": "write warmup: {runs_min: …, seconds_min: …}",
        "warmup_seconds_min": "write warmup: {runs_min: …, seconds_min: …}",
    }

    warmup: WarmupSection = WarmupSection()
    """When a trial has warmed up."""
    runs_min: Annotated[int, Field(ge=1, le=1_000_000_000)] = 50
    """The least number of inferences."""
    seconds_min: Seconds = 1.0
    """The least time, in seconds."""
    seconds_max: Annotated[float, Field(gt=0, le=86_400)] = 20.0
    """The longest time, in seconds; measuring ends there in any case."""
    runs_max: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    """The largest number of inferences; measuring ends there in any case."""
    scenario: Literal["single-stream", "multi-stream", "offline", "server"] | None = None
    """How queries come, as MLPerf Inference means it. Without it, inferences follow one another."""
    streams: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Inferences of a query, for multi-stream."""
    rate_per_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Queries that arrive in a second on the average, for server."""
    p99_ms_max: Annotated[float, Field(gt=0, le=3_600_000)] | None = None
    """For server, in place of a rate: the highest rate is searched whose 99th percentile stays under this, in ms."""


class AccuracySection(Section):
    """Declare the data set and the metric to judge outputs by."""

    dataset: Text | dict[Name, Text]
    """The name of a data set of the model. In a sweep of several models, names by model; the others are not judged."""
    metric: Literal["top1", "top5", "mean_iou", "mean_absolute_error", "outputs"] = "top1"
    """How outputs are judged: the label has the highest output, one of the five highest, is a map of classes, or the
    wanted output. `outputs` keeps outputs of the whole data set, up to 64 KiB, for `benchfleet runs score`."""


class OrderSection(Section):
    """Declare the order of trials."""

    interleave: bool = True
    """Whether trials of all cells take turns, so that drift hits all cells alike."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """The seed of the order of trials and of random inputs."""


class RetriesSection(Section):
    """Declare the further attempts of a trial."""

    failed: Annotated[int, Field(ge=0, le=10)] = 0
    """Further attempts of a failed trial, at once."""
    invalid: Annotated[int, Field(ge=0, le=10)] = 1
    """Further attempts of a trial beside a broken condition, at the end of the run."""


class DelegatesSection(Section):
    """Declare what a delegate (`matrix.delegate`) or an execution provider (`matrix.provider`) must run."""

    nodes_min: Share = 1.0
    """The least share of the model's nodes. A cell with fewer there, or where nobody can tell, fails as `fallback`."""
    allow_fallback: bool = False
    """Whether such a cell is measured nevertheless."""


class OnInvalidSection(Section):
    """Declare what becomes of a trial under a broken condition."""

    rerun_max: Annotated[int, Field(ge=0, le=10)] = 1
    """Further attempts, at the end of the run."""


class DemandsSection(Section):
    """Declare the conditions that trials of this sweep demand, in words of people: `limits` takes the same conditions.

    A device without the sensor is named in the plan, and measured.
    """

    temperature_c_max: Annotated[float, Field(gt=0, le=200)] | None = None
    """Trials that begin or end hotter are invalid, in degrees Celsius."""
    cooldown_to_c: Annotated[float, Field(gt=0, le=200)] | None = None
    """How cool the device is before each trial, in degrees Celsius."""
    cooldown_s_max: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """How long to wait for that, in seconds; the trial is measured then, and judged."""
    throttled: Literal[False] | None = None
    """`false`: trials under a throttled CPU are invalid, as they are anyway; a device that cannot tell is named."""
    cpu_pressure_max: Percent | None = None
    """Trials in which tasks waited for a CPU for more of the time are invalid."""
    steal_max: Percent | None = None
    """Trials in which the host of a virtual machine took more of the time are invalid."""
    other_load_max: Percent | None = None
    """Trials beside other work that took more of the time of all CPUs are invalid."""
    frequency_min: Percent | None = None
    """Trials whose CPUs ran slower than this share of their highest clock are invalid."""
    governor: Governor | None = None
    """Trials under another frequency governor are invalid."""
    unsteady_max: Percent | None = None
    """Trials whose last third of samples lies further from the first are invalid."""
    on_invalid: OnInvalidSection | None = None
    """What becomes of an invalid trial; without it, `retries.invalid`."""


class StopSection(Section):
    """Declare when a cell has enough trials, in place of a number of `trials`."""

    ci_halfwidth: Annotated[Share, Field(gt=0)]
    """The half-width of the interval over trials, relative: `1%` is plus or minus one per cent."""
    trials_max: Annotated[int, Field(ge=7, le=1000)] = 20
    """The trials of a cell whose interval never is so narrow."""
    device_s_max: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """The time of the device after which a cell ends, in seconds. Null is no bound."""


class TimeoutsSection(Section):
    """Declare the timeouts, in seconds."""

    trial_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    """The longest time of a trial, in seconds."""


class DevicesSection(Section):
    """Ask for devices by need. Those that `--select` names come before them, and a night has its own."""

    advice: ClassVar[Mapping[str, str]] = {"exclude": "a rule of the sweep, exclude: [{device: pi-*}], leaves some out"}

    select: Text
    """Which devices would do, as `--select` says it: `class=rpi`."""
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many of them the run has. Free ones are chosen first, and of these the least recently used."""
    spread: bool | Name = False
    """The tag over whose values the chosen devices are spread as far as free ones allow. `true` is the tag `site`.
    Devices without the tag are told apart by their gateway, `jump`."""


class SweepSection(Section):
    """Declare a whole sweep file."""

    advice: ClassVar[Mapping[str, str]] = {
        "name": "did you mean 'sweep'?",
        "seed": "write order: {seed: …}",
        "interleave": "write order: {interleave: …}",
        "threads": "write matrix: {threads: […]}",
        "env": "did you mean 'environment'?",
        "warmup": "write measure: {warmup: …}",
    }

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["model"]}, {"required": ["models"]}]})

    sweep: Name
    """The name of the sweep. Runs of one name are compared with each other."""
    model: Text = Field(default_factory=str)
    """The folder of the model, relative to the sweep file or else to the working folder. Needed without `models`."""
    models: list[Text] = Field(default_factory=list, min_length=1)
    """The folders of several models, in place of `model`. Each is measured and compared by itself."""
    variants: list[Name] = Field(default_factory=list, min_length=1)
    """Variants of the model, or of whichever of the models has them. Without it, all."""
    runtimes: list[RuntimeEntry] = Field(min_length=1)
    """What runs the model: a pinned package, `system/ENGINE`, a program (`exec`), or a server (`endpoint`)."""
    matrix: dict[SettingKey, Annotated[list[SettingOrNone], Field(min_length=1)]] = Field(default_factory=dict)
    """Settings of the cells, each with its values; every combination is a cell. Null is a cell without the setting."""
    exclude: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    """Rules of cells that are left out: each key a name, a glob or a value."""
    only: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    """Rules of the cells that are measured. Without it, all."""
    allow_failures: list[Annotated[dict[str, SettingValue], Field(min_length=1)]] = Field(default_factory=list)
    """Rules of cells whose failure leaves a run clean."""
    measure: MeasureSection = MeasureSection()
    """When a trial has measured enough."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 5
    """Trials of each cell. Each is a fresh process."""
    accuracy: AccuracySection | None = None
    """What outputs are judged by. Without it, outputs are only compared."""
    agreement: ToleranceSection | None = None
    """How far outputs may differ from the parent variant's and still agree."""
    order: OrderSection = OrderSection()
    """The order of trials."""
    retries: RetriesSection = RetriesSection()
    """Further attempts of trials."""
    timeouts: TimeoutsSection = TimeoutsSection()
    """When trials are given up."""
    limits: ConditionsSection = ConditionsSection()
    """Limits of conditions in place of those of the devices. Null is no limit."""
    stop: StopSection | None = None
    """When a cell has enough trials. Without it, each cell has `trials`."""
    delegates: DelegatesSection = DelegatesSection()
    """What delegates and execution providers must run of a model."""
    conditions: DemandsSection = DemandsSection()
    """What trials of this sweep demand of the device, in place of what the inventory says."""
    devices: DevicesSection | None = None
    """Which devices a run has, where `--select` names none. Without it, all of the inventory."""
    preemptible: bool = False
    """Whether a submitted run gives its devices to more urgent runs between two trials, and goes on after them."""
    profile: Literal["operators"] | None = None
    """Whether the operators of each cell are profiled, in a trial of its own."""
    environment: dict[VariableName, VariableValue] = Field(default_factory=dict, max_length=_VARIABLES_MAX)
    """Variables for the trials, beside those that benchfleet sets. Null takes the value that the device's login has."""
