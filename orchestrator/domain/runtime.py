"""Name the inference stacks that a sweep asks for, and what executes each on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class RuntimeSource(StrEnum):
    """Where a runtime comes from: a pinned bundle that we ship, the device itself, or a program of the user's."""

    BUNDLE = "bundle"
    SYSTEM = "system"
    EXEC = "exec"


@dataclass(frozen=True, slots=True)
class ExecProgram:
    """A program that prints our JSON lines: its argument vector, and absolute paths of the files it needs, by name."""

    command: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """A runtime as a sweep names it: `tflite-runtime==2.14.0`, `system/tflite` or `exec/NAME`.

    `version` is None except for bundles, where it is required: an unpinned runtime cannot be compared with itself.
    `declared_at` is the file:line that names it, for errors; it is no part of what the runtime is.
    """

    label: str
    source: RuntimeSource
    name: str
    version: str | None = None
    program: ExecProgram | None = None
    declared_at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a runtime's jobs on a device: a file under `device_worker/runtimes/`, and the module it imports."""

    name: str
    module: str | None
    settings: tuple[str, ...] | None
    """The matrix keys that it understands; None: any (a user's program decides)."""


_TFLITE_SETTINGS = ("threads", "cpus")

BUNDLE_ENGINES = {
    "tflite-runtime": Engine("tflite", "tflite_runtime.interpreter", _TFLITE_SETTINGS),
    "ai-edge-litert": Engine("tflite", "ai_edge_litert.interpreter", _TFLITE_SETTINGS),
    "tensorflow": Engine("tflite", "tensorflow.lite", _TFLITE_SETTINGS),
}
SYSTEM_ENGINES = {"tflite": Engine("tflite", "auto", _TFLITE_SETTINGS)}
EXEC_ENGINE = Engine("exec", None, None)


def engine_of(runtime: RuntimeSpec) -> Engine:
    """Return what executes a runtime's jobs."""
    match runtime.source:
        case RuntimeSource.BUNDLE:
            return BUNDLE_ENGINES[runtime.name]
        case RuntimeSource.SYSTEM:
            return SYSTEM_ENGINES[runtime.name]
        case RuntimeSource.EXEC:
            return EXEC_ENGINE
