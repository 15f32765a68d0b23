"""Render pages that are one file: no network, no scripts, one style allowed by its hash."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from orchestrator.domain.errors import ConfigError
from orchestrator.reporting.text import clean_lines

STYLE = "digest.css"
"""The style that all pages share. It lies with the pages of nights, which were first."""
_STYLE_HOME = "orchestrator.reporting.nights"


def rendered(package: str, template: str, **values: object) -> str:
    """Return a page of a package's template. The template gets the style's file and hash beside the values."""
    # Allowed by its hash: a style that a hostile text brought along would have another.
    style_hash = base64.b64encode(hashlib.sha256(_source(package, STYLE).encode()).digest()).decode("ascii")
    return _template(package, template).render(style_file=STYLE, style_hash=style_hash, **values)


@functools.cache
def _template(package: str, name: str) -> Template:
    # A mistyped name in the template is an error by StrictUndefined, and no hole in a page.
    environment = Environment(
        loader=FunctionLoader(functools.partial(_source, package)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
    )
    return environment.get_template(name)


def _source(package: str, name: str) -> str:
    home = _STYLE_HOME if name == STYLE else package
    return files(home).joinpath(name).read_text(encoding="utf-8").strip()


def _harmless(value: object) -> object:
    """Show the control characters of a text as escapes. The template escapes markup afterwards."""
    is_markup = hasattr(value, "__html__")  # what a macro of the template returns
    return clean_lines(value) if isinstance(value, str) and not is_markup else value


def write_whole(path: Path, content: str | bytes, what: str) -> None:
    """Write a file, which changes as a whole or stays. `what` names the content for errors.

    Raise ConfigError for a place without a file.
    """
    incoming = path.with_name(f".{path.name}.{os.getpid()}.incoming")
    try:
        try:
            with incoming.open("wb") as stream:
                stream.write(content if isinstance(content, bytes) else content.encode())
                stream.flush()
                # On the disk before the name is: after a power cut the name must not lead to an empty file.
                os.fsync(stream.fileno())
            incoming.replace(path)
        finally:
            incoming.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, what, error) from None


def unwritable(path: Path, what: str, error: OSError) -> ConfigError:
    """Return the error for a place where no file can be written."""
    hint = "name a file in a folder that is there and that you may write to"
    return ConfigError(f"{path}: {what} cannot be written: {error.strerror}", hint)
