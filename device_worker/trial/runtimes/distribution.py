"""Find the version of an imported package, without importlib.metadata, which Python 3.7 lacks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUFFIXES = (".dist-info", ".egg-info")


def find_version(package: Any, distribution: str) -> str | None:
    """Return a package's `__version__`, or the version in the name of the metadata folder, or None."""
    version = getattr(package, "__version__", None)
    if isinstance(version, str):
        return version
    prefix = distribution.replace("-", "_").lower() + "-"
    for folder in map(os.path.dirname, getattr(package, "__path__", ())):
        for name in sorted(map(str, os.listdir(folder))):
            if name.lower().startswith(prefix) and name.endswith(_SUFFIXES):
                return name[len(prefix) :].rpartition(".")[0].partition("-")[0]
    return None
