"""Write files that were not there before. A file is complete under its name, or absent."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from orchestrator.domain.errors import ConfigError

_NEVER_OVERWRITTEN = "nothing is ever overwritten: move it away, or choose another name"


def refuse_other(path: Path, text: str) -> bool:
    """Return True if a file with this very text is there, False without a file. Raise ConfigError for another text."""
    try:
        if path.read_bytes() == text.encode("utf-8"):
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be looked at: {error.strerror}") from None
    raise ConfigError(f"{path} is there already, with other content", hint=_NEVER_OVERWRITTEN)


def write_new(path: Path, text: str) -> None:
    """Write a file and the folders above. The very text being there counts as written. Raise ConfigError."""
    incoming = path.with_name(f".{path.name}.{os.getpid()}.incoming")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            incoming.write_bytes(text.encode("utf-8"))
            # A link, because a rename would replace a file that has appeared meanwhile.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(incoming)
        finally:
            incoming.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    refuse_other(path, text)
