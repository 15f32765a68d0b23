"""What an inventory file may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from orchestrator.domain.device import TransportKind
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.selector import BUILT_IN_KEYS, KEYWORDS
from orchestrator.specs.schema import Refused, Section
from orchestrator.specs.words import Bytes, Name, Text

_NO_SECRETS = "no secret belongs in an inventory: use a key (identity_file), an agent or the ssh config"


def _is_transport(name: str) -> str:
    kinds = [kind.value for kind in TransportKind]
    if name not in kinds:
        raise Refused(f"unknown transport {name!r}", did_you_mean(name, kinds))
    return name


def _is_word(text: str) -> str:
    if not text or text.startswith("-") or any(not sign.isprintable() or sign.isspace() for sign in text):
        raise Refused(f"{text!r} must be one word that does not begin with '-'")
    return text


def _is_device_name(name: str) -> str:
    if name.lower() in {*KEYWORDS, "none"}:
        raise Refused(f"{name!r} cannot name a device: selectors and jumps mean something else by it")
    return name


def _is_tag_key(key: str) -> str:
    if key in BUILT_IN_KEYS or key.lower() in KEYWORDS:
        raise Refused(f"{key!r} cannot be a tag: selectors mean something else by it")
    return key


def _is_tag(value: Any) -> Any:
    if isinstance(value, bool | int | float | str) and value != "":
        return value
    raise Refused("expected text")


def _is_device_path(path: str) -> str:
    if not path.startswith(("/", "~/")):
        raise Refused(f"{path!r} is neither absolute nor below '~/' on the device")
    if "\0" in path or "\n" in path or ".." in path.split("/"):
        raise Refused(f"{path!r} is not a plain path")
    return path


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
Word = Annotated[str, AfterValidator(_is_word)]
DeviceName = Annotated[Name, AfterValidator(_is_device_name)]
TagKey = Annotated[Name, AfterValidator(_is_tag_key)]
Tag = Annotated[Any, PlainValidator(_is_tag)]
DevicePath = Annotated[str, AfterValidator(_is_device_path)]
Transport = Annotated[str, AfterValidator(_is_transport)]
Argv = Annotated[list[Argument], BeforeValidator(_is_argv), Field(min_length=1, max_length=100)]


class LimitsSection(Section):
    """Conditions that trials must keep."""

    temperature_c_max: Annotated[float, Field(gt=0, le=200)] | None = None
    trial_timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    memory_bytes_max: Bytes | None = None
    cooldown_s_max: Annotated[float, Field(ge=0, le=86_400)] | None = None
    cache_bytes_max: Bytes | None = None
    disk_free_bytes_min: Bytes | None = None
    clock_offset_s_max: Annotated[float, Field(gt=0, le=86_400)] | None = None


class PowerCycleSection(Section):
    """Commands of this side that switch a device's supply."""

    on: Argv
    off: Argv | None = None
    off_s: Annotated[float, Field(gt=0, le=3600)] | None = None


class RecoverySection(Section):
    """What is tried when the device fails."""

    advice: ClassVar[Mapping[str, str]] = {
        "restarts": "did you mean 'restarts_max'?",
        "reconnect_s": "did you mean 'reconnect_s_max'?",
        "power_off": "power_cycle: {off: […], on: […]}",
        "power_on": "power_cycle: {off: […], on: […]}",
    }

    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    reconnect_s_max: Annotated[float, Field(ge=0, le=86_400)] | None = None
    restarts_max: Annotated[int, Field(ge=0, le=100)] | None = None
    reboot: Argv | None = None
    power_cycle: PowerCycleSection | None = None
    boot_s_max: Annotated[float, Field(gt=0, le=86_400)] | None = None
    quarantine: bool | None = None


class DefaultsSection(Section):
    """What holds for all devices of the file that do not say otherwise."""

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
    user: Word | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    identity_file: Text | None = None
    jump: Word | None = None
    python: Text | None = None
    state_dir: DevicePath | None = None
    tags: dict[TagKey, Tag] = Field(default_factory=dict)
    limits: LimitsSection = LimitsSection()
    recovery: RecoverySection = RecoverySection()


class DeviceSection(DefaultsSection):
    """One device."""

    host: Word | None = None
    disabled: bool = False


class InventorySection(Section):
    """A whole inventory file."""

    defaults: DefaultsSection = DefaultsSection()
    devices: dict[DeviceName, Annotated[DeviceSection, BeforeValidator(_or_empty)]]
    disabled: bool = False
