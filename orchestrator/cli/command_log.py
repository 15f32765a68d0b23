"""Log a command into a file: a JSON object on a line for the beginning and for the end."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from orchestrator.domain.credentials import without_credentials
from orchestrator.domain.errors import ConfigError, ExitCode, OrchestratorError


@contextmanager
def logged(path: Path | None) -> Iterator[None]:
    """Log the command within the context. Without a path nothing is logged.

    Raise ConfigError for a file that cannot be written, before the command begins.
    """
    if path is None:
        yield
        return
    began = time.monotonic()
    _write(path, "info", "command_began", {"command": without_credentials(shlex.join(["benchfleet", *sys.argv[1:]]))})
    code, said = int(ExitCode.FINE), {}
    try:
        yield
    except typer.Exit as end:
        code = end.exit_code
        raise
    except OrchestratorError as error:
        code, said = int(error.exit_code), {"error": without_credentials(str(error)), "hint": error.hint}
        raise
    except (KeyboardInterrupt, typer.Abort):
        code, said = int(ExitCode.INCOMPLETE), {"error": "interrupted"}
        raise
    except BrokenPipeError:  # the reader has seen enough
        raise
    except BaseException as error:
        code, said = int(ExitCode.INFRASTRUCTURE), {"error": type(error).__name__}
        raise
    finally:
        level = "error" if said else "info"
        took_s = round(time.monotonic() - began, 3)
        _write(path, level, "command_ended", {"exit_code": code, "took_s": took_s, **said})


def _write(path: Path, level: str, event: str, values: Mapping[str, Any]) -> None:
    """Append a line. One write is one line, whoever else appends."""
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = json.dumps({"timestamp": stamp, "level": level, "event": event, **values})
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        # At the end of a command its own error counts.
        if event == "command_began":
            raise ConfigError(
                f"--log-file {path}: cannot be written: {error.strerror}",
                "name a file in a folder that exists and that you may write",
            ) from None
