"""Declare errors as data."""

from __future__ import annotations

from orchestrator.domain import errors
from orchestrator.domain.errors import DeviceError, OrchestratorError
from orchestrator.reporting.shape import TEXT, Key, OrNull, View


def _has_device(error: OrchestratorError) -> bool:
    return isinstance(error, DeviceError)


ERROR = View[OrchestratorError](
    "error",
    "Something that went wrong.",
    (
        Key("error", TEXT, "The error's code, from the list below.", lambda error: error.code),
        Key("message", TEXT, "What went wrong, for people.", lambda error: error.message),
        Key("hint", OrNull(TEXT), "What to do about it.", lambda error: error.hint),
        Key(
            "device",
            OrNull(TEXT),
            "The device that failed; only in errors of devices.",
            lambda error: getattr(error, "device", None) or None,
            _has_device,
        ),
        Key(
            "step",
            OrNull(TEXT),
            "The step at which it failed; only in errors of devices.",
            lambda error: getattr(error, "step", None) or None,
            _has_device,
        ),
    ),
)


def all_codes() -> list[tuple[str, str]]:
    """Return the codes of all errors with meanings, in alphabetical order."""
    # Read from the module of errors, not from the living subclasses: those depend on the imports so far.
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OrchestratorError)]
    return sorted((kind.code, (kind.__doc__ or "").partition("\n")[0]) for kind in kinds)
