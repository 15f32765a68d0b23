"""Write the files of a new lab: the shipped inventory, sweeps, nightly and model, and commented settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.lab_folder import SETTINGS_FILE
from orchestrator.resources import KINDS, SCHEMAS, shipped
from orchestrator.settings import render_settings_file

SHIPPED_FILES = (
    "inventory/local.yaml",
    "inventory/example-lab.yaml",
    "sweeps/quickstart.yaml",
    "sweeps/digits-variants.yaml",
    "sweeps/runtimes.yaml",
    "sweeps/own-model.yaml",
    "sweeps/exec/shell.yaml",
    "sweeps/exec/read-model.sh",
    "sweeps/canary.yaml",
    *(f"{SCHEMAS}/{kind}.schema.json" for kind in KINDS),
)
SHIPPED_NIGHTLY = "nightly.yaml"
SHIPPED_MODEL = "models/digits"


def init_lab(directory: Path) -> tuple[Path, ...]:
    """Write the missing files of a lab, and return the new paths.

    Raise ConfigError, with nothing written, if a file with other content is in the way.
    """
    wanted = {directory / name: content for name, content in _lab_files().items()}
    # Every file is looked at before the first is written: a refusal must not leave half a lab.
    missing = {path: content for path, content in wanted.items() if not _is_there(path, content)}
    for path, content in missing.items():
        _write(path, content)
    return tuple(missing)


def _lab_files() -> Mapping[str, bytes]:
    files = {SETTINGS_FILE: render_settings_file().encode(), SHIPPED_NIGHTLY: shipped(SHIPPED_NIGHTLY).read_bytes()}
    for name in SHIPPED_FILES:
        folder, _, file = name.partition("/")
        files[name] = (shipped(folder) / file).read_bytes()
    folder, _, model = SHIPPED_MODEL.partition("/")
    source = shipped(folder) / model
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        files[f"{SHIPPED_MODEL}/{path.name}"] = path.read_bytes()
    return files


def _is_there(path: Path, content: bytes) -> bool:
    try:
        if path.read_bytes() == content:
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be looked at: {error.strerror}", hint="name another folder") from None
    raise ConfigError(
        f"{path} is there already, with other content",
        hint="name another folder; nothing is ever overwritten, and nothing was written",
    )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")  # never "wb": the file may have appeared since the look
        try:
            with file:
                file.write(content)
        except OSError:
            path.unlink(missing_ok=True)  # a part of a file would be in the way of the next try
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
