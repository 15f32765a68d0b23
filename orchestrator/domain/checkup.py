"""Hold what is found of an installation, each finding with the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.errors import ExitCode, OrchestratorError


class Health(StrEnum):
    """Name how things stand. Advice stands in nobody's way."""

    FINE = "fine"
    ADVICE = "advice"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """Say of a part of an installation how it stands, and what to do about it."""

    part: str
    health: Health
    words: str
    remedy: str | None = None

    @classmethod
    def of_error(cls, part: str, error: OrchestratorError) -> Finding:
        """Return the finding of a failure that a command would end with."""
        return cls(part, Health.WRONG, str(error), error.hint)


@dataclass(frozen=True, slots=True)
class Checkup:
    """Hold all findings, in the order in which they are to be mended."""

    findings: Sequence[Finding]

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 if nothing is wrong, and 4 otherwise."""
        is_wrong = any(one.health is Health.WRONG for one in self.findings)
        return ExitCode.INFRASTRUCTURE if is_wrong else ExitCode.FINE
