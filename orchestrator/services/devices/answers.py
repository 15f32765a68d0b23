"""Judge the answers of many devices."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.errors import DeviceError, ExitCode


def exit_code(answers: Mapping[str, object]) -> ExitCode:
    """Return the exit code: 0 if every device answered, 3 if only some devices did, 4 if no device did."""
    failed = sum(isinstance(answer, DeviceError) for answer in answers.values())
    if not failed:
        return ExitCode.FINE
    return ExitCode.INFRASTRUCTURE if failed == len(answers) else ExitCode.INCOMPLETE
