"""Name the inference stacks that a sweep asks for."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    label: str
    source: RuntimeSource
    name: str
    version: str | None = None
    program: ExecProgram | None = None
