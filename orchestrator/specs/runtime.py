"""Read what a sweep, or a flag, calls a runtime."""

from __future__ import annotations

import re

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean, nearest
from orchestrator.domain.runtime import BUNDLE_ENGINES, SYSTEM_ENGINES, RuntimeSource, RuntimeSpec

EXEC_FORM = "write a program of yours as: - exec: {name: shell-demo, command: [sh, bench.sh], files: [bench.sh]}"

_PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*(?P<version>\S+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?")


def parse_runtime(text: str) -> RuntimeSpec:
    """Return the runtime that `tflite-runtime==2.14.0` or `system/tflite` names; raise ConfigError if none is."""
    words = text.strip()
    if words == "exec" or words.startswith("exec/"):
        raise ConfigError(f"{words!r} does not say what to execute", hint=EXEC_FORM)
    if words.startswith("system/"):
        return _system(words.removeprefix("system/"))
    pinned = _PINNED.fullmatch(words)
    if pinned is None:
        raise _unpinned(words)
    name = _known_name(pinned["name"])
    if _VERSION.fullmatch(pinned["version"]) is None:
        raise ConfigError(
            f"{pinned['version']!r} is not one version", hint=f"pin one, such as {name}=={_example(name)}"
        )
    return RuntimeSpec(f"{name}=={pinned['version']}", RuntimeSource.BUNDLE, name, pinned["version"])


def _system(name: str) -> RuntimeSpec:
    if name not in SYSTEM_ENGINES:
        known = [f"system/{known}" for known in SYSTEM_ENGINES]
        raise ConfigError(f"unknown runtime 'system/{name}'", hint=did_you_mean(f"system/{name}", known))
    return RuntimeSpec(f"system/{name}", RuntimeSource.SYSTEM, name)


def _unpinned(words: str) -> ConfigError:
    start = _NAME.match(words)
    if start is None:
        return ConfigError(f"{words!r} is not a runtime", hint=_forms())
    name = _known_name(start[0])
    return ConfigError(
        f"runtime {words!r} is not pinned",
        hint=f"pin one version, such as {name}=={_example(name)}: an unpinned runtime cannot be compared with itself",
    )


def _known_name(written: str) -> str:
    name = re.sub(r"[-_.]+", "-", written).lower()
    if name in BUNDLE_ENGINES:
        return name
    close = nearest(name, BUNDLE_ENGINES)
    raise ConfigError(f"unknown runtime {written!r}", hint=f"did you mean {close[0]!r}?" if close else _forms())


def _example(name: str) -> str:
    return {"tflite-runtime": "2.14.0", "ai-edge-litert": "2.3.0", "tensorflow": "2.21.0"}[name]


def _forms() -> str:
    bundles = (f"{name}==VERSION" for name in BUNDLE_ENGINES)
    return "a runtime is one of " + ", ".join((*bundles, *(f"system/{name}" for name in SYSTEM_ENGINES))) + " or exec"
