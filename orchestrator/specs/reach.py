"""Decide which files of the controller a sweep may send to devices. A sweep may come from somebody else.

The rule looks at paths after all links are resolved. `specs.paths.open_regular` then opens the very path that the rule
has seen, and follows no link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.specs.paths import is_file, is_folder, resolved

MODELS_FOLDER = Path("models")
"""The folder of models in a lab."""

LAB_FILE = "benchfleet.toml"
LAB_FOLDER = "inventory"
"""A folder with either is a lab."""

_NEVER = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Folders of files that show the state of this machine, such as the environment of processes."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Hold the folders that the settings add to a sweep's own folder.

    `models` is the folder of models, None for `models` of the working folder. `others` are further folders for files
    and models.
    """

    models: Path | None = None
    others: tuple[Path, ...] = ()

    def objection_to_file(self, file: Path, own: Path | None) -> tuple[str, str | None] | None:
        """Return why a sweep may not send a file, with the remedy, or None.

        `own` is the sweep file's folder, None if the sweep file is not at hand.
        """
        return _objection(resolved(file), self._folders(own), "files", f"--allow-files {resolved(file).parent}")

    def objection_to_model(self, model: Path, own: Path | None) -> tuple[str, str | None] | None:
        """Return why a sweep may not have its model in a folder, with the remedy, or None.

        `own` is as for files. The folders of models between the sweep file and its lab count too.
        """
        # A default folder is not followed if it is a link, because a lab of somebody else may have brought the link.
        above = (folder / MODELS_FOLDER for folder in (resolved(Path()), *_up_to_lab(own)))
        named = () if self.models is None else (resolved(self.models),)
        remedy = f'models = "{resolved(model).parent}" in benchfleet.toml, or --allow-files {resolved(model)}'
        return _objection(resolved(model), (*self._folders(own), *named, *above), "models", remedy)

    def _folders(self, own: Path | None) -> tuple[Path, ...]:
        return tuple(resolved(folder) for folder in (own, *self.others) if folder is not None)


OWN_FOLDER = Reach()
"""The reach of a sweep without any setting."""


def _up_to_lab(own: Path | None) -> tuple[Path, ...]:
    """Return the folders from a sweep's own folder up to the nearest lab, none if no lab is around the sweep."""
    if own is None:
        return ()
    folders = (resolved(own), *resolved(own).parents)
    labs = (
        place for place, folder in enumerate(folders) if is_file(folder / LAB_FILE) or is_folder(folder / LAB_FOLDER)
    )
    # Above the lab are other projects, and the home of the user who saved a sweep of somebody else.
    return folders[: next(labs, -1) + 1]


def _objection(path: Path, folders: Iterable[Path], what: str, remedy: str) -> tuple[str, str | None] | None:
    for folder in _NEVER:
        if path.is_relative_to(folder):
            return f"{path} is the state of this machine: nothing below {folder} is sent to a device", None
    holding = [folder for folder in folders if path.is_relative_to(folder)]
    if not holding:
        return f"{path} is outside of the folders from which this sweep may send {what}", f"if you trust it: {remedy}"
    if all(any(part.startswith(".") for part in path.relative_to(folder).parts) for folder in holding):
        return f"{path} is hidden: hidden files are sent only if their folder is named", f"if you trust it: {remedy}"
    return None
