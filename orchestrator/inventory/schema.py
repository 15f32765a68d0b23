"""Declare the keys and values of an inventory file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from orchestrator.domain.device import TransportKind
from orchestrator.domain.meter import DEVICE_SOURCES
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.domain.selector import BUILT_IN_KEYS, KEYWORDS
from orchestrator.specs.conditions import ConditionsSection
from orchestrator.specs.schema import Refused, Section
from orchestrator.specs.words import Bytes, Name, Text, pattern

# Inventories are committed and shared. `advice` of a section answers keys that people try by habit.
_LABEL_KEY = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABELS_MAX, _GPU_MAX = 20, 1023
_NO_SECRETS = "no secret belongs in an inventory: use a key (identity_file), an agent or the ssh config"


def _is_transport(name: str) -> str:
    kinds = [kind.value for kind in TransportKind]
    if name not in kinds:
        raise Refused(f"unknown transport {quoted(name)}", did_you_mean(name, kinds))
    return name


def _is_word(text: str) -> str:
    # A ProxyCommand of the ssh config may take host and user, where a leading dash would read as an option.
    if not text or text.startswith("-") or any(not sign.isprintable() or sign.isspace() for sign in text):
        raise Refused(f"{quoted(text)} must be one word that does not begin with '-'")
    return text


def _is_device_name(name: str) -> str:
    # A selector `all` or `jump: none` could otherwise mean either the keyword or the device.
    if name.lower() in {*KEYWORDS, "none"}:
        raise Refused(f"{quoted(name)} cannot name a device: the word has a meaning in selectors or jumps")
    return name


def _is_tag_key(key: str) -> str:
    if key in BUILT_IN_KEYS or key.lower() in KEYWORDS:
        raise Refused(f"{quoted(key)} cannot be a tag: the word has a meaning in selectors")
    return key


def _is_tag(value: Any) -> Any:
    # YAML reads `yes`, `4` or `22.10` as other types than text. The reader restores the text as written.
    if isinstance(value, bool | int | float | str) and value != "":
        return value
    raise Refused("expected text")


def _is_device_path(path: str) -> str:
    if not path.startswith(("/", "~/")):
        raise Refused(f"{quoted(path)} is neither absolute nor below '~/' on the device")
    # The worker makes and removes files below this path: `..` would hide which folder is meant.
    if "\0" in path or "\n" in path or ".." in path.split("/"):
        raise Refused(f"{quoted(path)} is not a plain path")
    return path


def _is_label_key(key: str) -> str:
    # Ray's own rule, with the prefix of its own labels, such as ray.io/accelerator-type.
    if not _LABEL_KEY.fullmatch(key):
        raise Refused(f"{quoted(key)} cannot be a label of a Ray node: letters, digits, '.', '_' and '-'")
    return key


def _has_labels(labels: dict[str, Any]) -> dict[str, Any]:
    if not labels:
        raise Refused("no label is named, and every node would do", "node: {host: gpu-1}")
    return labels


def _is_argument(text: str) -> str:
    if not text or "\0" in text:
        raise Refused("must not be empty" if not text else "has a NUL character")
    return text


def _is_argv(value: Any) -> Any:
    if isinstance(value, str):
        raise Refused("expected a list of words, since no shell reads it", f"[{', '.join(value.split())}]")
    return value


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


Argument = Annotated[str, AfterValidator(_is_argument)]
Word = Annotated[str, AfterValidator(_is_word), pattern(r"[^-\s]\S*")]
DeviceName = Annotated[Name, AfterValidator(_is_device_name)]
TagKey = Annotated[Name, AfterValidator(_is_tag_key)]
Tag = Annotated[Any, PlainValidator(_is_tag), WithJsonSchema({"type": ["string", "number", "boolean"], "minLength": 1})]
LabelKey = Annotated[str, AfterValidator(_is_label_key), pattern(_LABEL_KEY.pattern)]
DevicePath = Annotated[str, AfterValidator(_is_device_path), pattern(r"(?:/|~/)(?!(?:.*/)?\.\.(?:/|$)).*")]
Transport = Annotated[
    str,
    AfterValidator(_is_transport),
    WithJsonSchema({"type": "string", "enum": [kind.value for kind in TransportKind]}),
]
Argv = Annotated[list[Argument], BeforeValidator(_is_argv), Field(min_length=1, max_length=100)]


class LimitsSection(ConditionsSection):
    """Bound the conditions of a device and its trials. Units stand in the names."""

    trial_timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """The longest time of a trial, in seconds, in place of the one of the sweep."""
    memory_bytes_max: Bytes | None = None
    """The most memory of a trial; beyond it the trial fails as out of memory."""
    cooldown_s_max: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """How long to wait until the device has cooled down, in seconds."""
    cache_bytes_max: Bytes | None = None
    """The most room for models, data sets and runtimes kept for later runs."""
    disk_free_bytes_min: Bytes | None = None
    """With less room on the disk no run begins."""
    clock_offset_s_max: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """With the clock further off, in seconds, no run begins."""


class PowerCycleSection(Section):
    """Name the controller's commands to switch a device's supply. `off_s` is the pause between them, in seconds."""

    on: Argv
    """The command that switches the supply on, as words."""
    off: Argv | None = None
    """The command that switches the supply off. Without it, `on` does both."""
    off_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """The pause between the commands, in seconds."""


class RecoverySection(Section):
    """Bound the recovery of a failing device. Keys left out keep the defaults of `domain.recovery.Recovery`."""

    advice: ClassVar[Mapping[str, str]] = {
        "restarts": "did you mean 'restarts_max'?",
        "reconnect_s": "did you mean 'reconnect_s_max'?",
        "power_off": "power_cycle: {off: […], on: […]}",
        "power_on": "power_cycle: {off: […], on: […]}",
    }

    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    """How often a first connection is tried again."""
    reconnect_s_max: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """For how long a lost connection is sought, in seconds."""
    restarts_max: Annotated[int, Field(ge=0, le=100)] | None = None
    """How often a runner that ended before its plan is started anew."""
    reboot: Argv | None = None
    """A command on the device that boots it, as words."""
    power_cycle: PowerCycleSection | None = None
    """Commands on the controller that switch the device's supply."""
    boot_s_max: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Until when the device must answer after a boot, in seconds."""
    quarantine: bool | None = None
    """Keep runs from a device that nothing has helped, until a person readmits it."""


def _as_power_entry(value: Any) -> Any:
    """Return a bare word of `power` as the entry of a source on the device."""
    return {"source": value} if isinstance(value, str) else value


def _is_source(name: str) -> str:
    if name not in DEVICE_SOURCES:
        raise Refused(f"unknown power source {quoted(name)}", did_you_mean(name, DEVICE_SOURCES))
    return name


def _is_http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise Refused(f"{quoted(url)} is no http:// address without a login", "http://plug-3.lab")
    return url


def _is_oid(text: str) -> str:
    if not re.fullmatch(r"\.?\d+(\.\d+){2,}", text):
        raise Refused(f"{quoted(text)} is no object identifier of numbers", "1.3.6.1.4.1.318.1.1.12.1.16.0")
    return text


HttpAddress = Annotated[str, AfterValidator(_is_http), pattern(r"https?://[^@/]+(?:/.*)?")]


class PowerEntry(Section):
    """Name a power source on the device, or a meter of its supply that the controller reads."""

    advice: ClassVar[Mapping[str, str]] = {
        "community": "no secret belongs in an inventory: community_variable names a variable of the environment",
        "url": "shelly: http://…, or tasmota: http://…",
    }

    source: Annotated[str, AfterValidator(_is_source)] | None = None
    """A kind of source on the device: rapl, hwmon, ina3221x, pmic, nvml or battery."""
    shelly: HttpAddress | None = None
    """The address of a Shelly plug of the second generation or later."""
    tasmota: HttpAddress | None = None
    """The address of a plug with Tasmota."""
    snmp: Word | None = None
    """The host of a PDU that speaks SNMP 2c, perhaps with a port."""
    command: Argv | None = None
    """A command of the controller that prints a line `unix_time watts` for each reading."""
    csv: bool | None = None
    """Another tool records: `benchfleet power import` joins its file."""
    channel: Annotated[int, Field(ge=0, le=1000)] = 0
    """The outlet of a plug, counted from 0."""
    oid: Annotated[str, AfterValidator(_is_oid)] | None = None
    """The object of the SNMP agent that holds the power."""
    watts_per_unit: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """What one unit of the SNMP object is in watts."""
    community_variable: Name | None = None
    """The environment variable with the SNMP community; `public` without one."""
    period_s: Annotated[float, Field(ge=0.001, le=60)] | None = None
    """The time between two readings, in seconds: 1 for plugs and PDUs."""
    update_s: Annotated[float, Field(ge=0, le=60)] | None = None
    """How late a reading may be, in seconds: the period, unless the meter is faster."""
    resolution_w: Annotated[float, Field(gt=0, le=1e4)] | None = None
    """The smallest step of the meter, in watts."""
    accuracy_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The largest error of the meter, in per cent of the reading, as its maker states it."""


class _OrSource:
    """Say in the JSON schema that the word of a source stands for a whole entry."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": list(DEVICE_SOURCES)}, handler(schema)]}


Allowed = Literal["governor", "cpus"]


class DefaultsSection(Section):
    """Declare the defaults for all devices of the file. A device's own key overrides the default."""

    advice: ClassVar[Mapping[str, str]] = {
        "host": "a host belongs to one device",
        "name": "the key under `devices` is the name",
        "hostname": "did you mean 'host'?",
        "username": "did you mean 'user'?",
        "key": "did you mean 'identity_file'?",
        "key_file": "did you mean 'identity_file'?",
        "proxy_jump": "did you mean 'jump'?",
        **dict.fromkeys(("password", "passphrase", "secret", "token"), _NO_SECRETS),
    }

    transport: Transport | None = None
    """How the device is reached."""
    user: Word | None = None
    """The login. Without it, the ssh config decides."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The port of the ssh server."""
    identity_file: Text | None = None
    """The key on this machine, relative to this file."""
    jump: Word | None = None
    """The way there: a device, an ssh host, several with commas, or none."""
    python: Text | None = None
    """The interpreter on the device: a path, or a name on its PATH."""
    state_dir: DevicePath | None = None
    """The only folder that benchfleet writes on the device."""
    exclusive: bool | None = None
    """Whether nobody else may measure on its machine meanwhile."""
    tags: dict[TagKey, Tag] = Field(default_factory=dict)
    """Words of yours, for --select and for comparisons."""
    site: Name | None = None
    """Where the device is, as a tag `site`. Daemons on a Ray cluster drive it from there."""
    allow: list[Allowed] = Field(default_factory=list)
    """What a run may set, nothing without it: `governor` (given back at its end), `cpus` (trials are pinned there)."""
    limits: LimitsSection = LimitsSection()
    """Bounds of the device and of trials there."""
    recovery: RecoverySection = RecoverySection()
    """What to try when the device fails."""
    power: list[Annotated[PowerEntry, BeforeValidator(_as_power_entry), _OrSource]] | None = None
    """Power sources on the device in order of preference, or one meter. Without it, the device chooses."""


class DeviceSection(DefaultsSection):
    """Declare one device. The key above the section is the device's name."""

    host: Word | None = None
    """The address, or an alias of the ssh config. Without it, the name of the device."""
    node: Annotated[dict[LabelKey, Tag], AfterValidator(_has_labels), Field(max_length=_LABELS_MAX)] | None = None
    """The labels that one node of the Ray cluster alone has: the device is that node (`transport: ray`)."""
    gpu: Annotated[int, Field(ge=0, le=_GPU_MAX)] | None = None
    """The one GPU that trials see, counted from 0 as nvidia-smi does. Without it, they see all."""
    disabled: bool = False
    """Whether selectors never pick the device. Others may be reached through it."""


class InventorySection(Section):
    """Declare a whole inventory file. `disabled` switches off all devices of the file."""

    defaults: DefaultsSection = DefaultsSection()
    """What holds for every device of this file that does not say otherwise."""
    devices: dict[DeviceName, Annotated[DeviceSection, BeforeValidator(_or_empty)]]
    """The devices, by name."""
    disabled: bool = False
    """Whether no device of this file is ever used."""
