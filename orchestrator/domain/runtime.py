"""Name the runtimes of a sweep."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain.model import Format

_INPUT = re.compile(r"\$\{([^}]+)\}")


class RuntimeSource(StrEnum):
    """Name the source of a runtime: a bundle shipped by us, the device itself, a user's program, or a server."""

    BUNDLE = "bundle"
    SYSTEM = "system"
    EXEC = "exec"
    ENDPOINT = "endpoint"


OF_UNKNOWN_BUILD = frozenset({RuntimeSource.EXEC.value, RuntimeSource.ENDPOINT.value})
"""The sources of runtimes that run more than a plan has hashes of."""


@dataclass(frozen=True, slots=True)
class ExecProgram:
    """Describe a user's program for measuring and printing JSON lines.

    `command` is the argument vector. `files` are pairs of name and absolute path. `format` is the format of the
    artifact to read. None means the first artifact of a variant. `packages` are pinned Python packages, NAME==VERSION,
    whose files the program finds unpacked in one folder.
    """

    command: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    format: Format | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpTemplate:
    """Describe how any server is asked in JSON over HTTP.

    `${NAME}` in `body`, a JSON text, stands for the numbers of an input. `outputs` are pairs of name and place in the
    answer, a JSON Pointer. `ready_path` answers with success once the model can be asked.
    """

    method: str
    path: str
    ready_path: str
    body: str
    outputs: tuple[tuple[str, str], ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs that the body asks for."""
        return tuple(dict.fromkeys(_INPUT.findall(self.body)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Describe a served model: the protocol, the server's name of the model, and the server's address.

    `url` is None for a server that each trial starts, by the command of the runtime's program. Such a server is given
    up if it is not ready within `ready_s_max`. `signature` is TensorFlow's, `template` of the protocol `http`.
    """

    protocol: str
    model: str
    url: str | None = None
    version: str | None = None
    ready_s_max: float = 60.0
    signature: str | None = None
    template: HttpTemplate | None = None


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """Name a runtime as a sweep does: `tflite-runtime==2.14.0`, `system/tflite`, `exec/NAME` or `endpoint/NAME`.

    A bundle requires a `version`, because an unpinned runtime cannot be compared with itself later. Other runtimes have
    none. The program of an endpoint starts the server, or has no command. `declared_at` is the file:line of the name,
    for errors, and is no part of a runtime's identity.
    """

    label: str
    source: RuntimeSource
    name: str
    version: str | None = None
    program: ExecProgram | None = None
    declared_at: str = field(default="", compare=False)
    endpoint: Endpoint | None = None

    @property
    def bundled(self) -> tuple[str, str] | None:
        """Return name and version of the first package that devices get, or None for a runtime without one."""
        if self.program is not None and self.program.packages:
            name, _, version = self.program.packages[0].partition("==")
            return name, version
        return (self.name, self.version or "") if self.source is RuntimeSource.BUNDLE else None
