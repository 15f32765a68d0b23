"""Find the files that come with the package: migrations, models, sweeps and inventories."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return a shipped folder: inside an installed package, or at the top of a source checkout."""
    installed = _PACKAGE / "shipped" / name
    if installed.exists():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).exists():
        return checkout / name
    raise FileNotFoundError(f"{name} did not come with this installation of benchfleet: {installed} does not exist")
