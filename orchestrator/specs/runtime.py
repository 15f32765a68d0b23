"""Read the name of a runtime, from a sweep or a flag."""

from __future__ import annotations

import re

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean, nearest
from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import ENGINES, RUNTIMES

EXEC_FORM = "write a program of yours as: - exec: {name: shell-demo, command: [sh, bench.sh], files: [bench.sh]}"

_PINNED_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
_PINNED = re.compile(rf"(?P<name>{_PINNED_NAME})\s*==\s*(?P<version>\S+)")
_NAME = re.compile(_PINNED_NAME)
# One release, as PEP 440 writes releases: `1.*` or `2.0,<3` is no pin.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?")

PACKAGE_PATTERN = rf"\s*{_PINNED_NAME}\s*==\s*{_VERSION.pattern}\s*"
"""What editors know of a pinned package."""

RUNTIME_PATTERN = rf"\s*(?:{_PINNED_NAME}\s*==\s*{_VERSION.pattern}|system/(?:{'|'.join(ENGINES)}))\s*"
"""What editors know of the name of a runtime. Which names are known, `parse_runtime` alone says."""


def parse_package(text: str) -> str:
    """Return a pinned package as NAME==VERSION. Raise ConfigError, with a hint, for anything else."""
    pinned = _PINNED.fullmatch(text.strip())
    if pinned is None or _VERSION.fullmatch(pinned["version"]) is None:
        example = "pin it, as in pyopen-wakeword==1.1.0"
        raise ConfigError(f"{quoted(text)} is not one version of a package", hint=example)
    return f"{re.sub(r'[-_.]+', '-', pinned['name']).lower()}=={pinned['version']}"


def parse_runtime(text: str) -> RuntimeSpec:
    """Return the runtime of a name such as `tflite-runtime==2.14.0` or `system/tflite`.

    Raise ConfigError, with a hint, for an unknown or unpinned runtime.
    """
    words = text.strip()
    if words == "exec" or words.startswith("exec/"):
        raise ConfigError(f"{quoted(words)} does not say what to execute", hint=EXEC_FORM)
    if words.startswith("system/"):
        return _system(words.removeprefix("system/"))
    pinned = _PINNED.fullmatch(words)
    if pinned is None:
        raise _unpinned(words)
    name = _known_name(pinned["name"])
    if _VERSION.fullmatch(pinned["version"]) is None:
        raise ConfigError(
            f"{quoted(pinned['version'])} is not one version", hint=f"pin one, such as {name}=={RUNTIMES[name].example}"
        )
    return RuntimeSpec(f"{name}=={pinned['version']}", RuntimeSource.BUNDLE, name, pinned["version"])


def _system(name: str) -> RuntimeSpec:
    if name not in ENGINES:
        known = [f"system/{known}" for known in ENGINES]
        raise ConfigError(f"unknown runtime 'system/{name}'", hint=did_you_mean(f"system/{name}", known))
    return RuntimeSpec(f"system/{name}", RuntimeSource.SYSTEM, name)


def _unpinned(words: str) -> ConfigError:
    start = _NAME.match(words)
    if start is None:
        return ConfigError(f"{quoted(words)} is not a runtime", hint=_forms())
    name = _known_name(start[0])
    return ConfigError(
        f"runtime {quoted(words)} is not pinned",
        hint=f"pin one version, such as {name}=={RUNTIMES[name].example}: "
        "an unpinned runtime cannot be compared with itself",
    )


def _known_name(written: str) -> str:
    # As package indexes compare names: `TFLite_Runtime` is `tflite-runtime`.
    name = re.sub(r"[-_.]+", "-", written).lower()
    if name in RUNTIMES:
        return name
    close = nearest(name, RUNTIMES)
    raise ConfigError(
        f"unknown runtime {quoted(written)}", hint=f"did you mean {quoted(close[0])}?" if close else _forms()
    )


def _forms() -> str:
    bundles = (f"{name}==VERSION" for name in RUNTIMES)
    return "a runtime is one of " + ", ".join((*bundles, *(f"system/{name}" for name in ENGINES))) + " or exec"
