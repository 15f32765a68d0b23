"""Find the files shipped with the package: migrations, models, sweeps, inventories and a nightly."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return a shipped folder or file by name. Raise FileNotFoundError if the name did not come along."""
    # An installed package has what is shipped inside (see pyproject.toml), a source checkout at the top.
    installed = _PACKAGE / "shipped" / name
    if installed.exists():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).exists():
        return checkout / name
    raise FileNotFoundError(f"{name} did not come with this installation of benchfleet: {installed} does not exist")
