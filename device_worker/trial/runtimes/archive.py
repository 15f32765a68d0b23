"""Unpack the archive of a model whose format is several files."""

from __future__ import annotations

import os
import tempfile
import zipfile

from device_worker.trial.causes import describe
from device_worker.trial.runtimes.base import LoadFailure

_MEMBERS_MAX, _BYTES_MAX = 1000, 8 << 30


def unpack_model(path: str, beside: str) -> str:
    """Unpack a zip archive, and return its new folder in the folder `beside`. Raise LoadFailure."""
    folder = tempfile.mkdtemp(prefix="model-", dir=beside)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > _MEMBERS_MAX or size > _BYTES_MAX:
                raise LoadFailure(f"the archive of the model has {len(members)} members of {size} bytes: too much")
            for member in members:
                archive.extract(member, folder)  # a name that leads outside is made to stay inside
    except (OSError, zipfile.BadZipFile) as error:
        raise LoadFailure(f"the archive of the model does not unpack: {describe(error)}") from error
    return folder


def files_in(folder: str, ending: str) -> list[str]:
    """Return the paths of all files with an ending, in order."""
    return sorted(
        os.path.join(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(ending)
    )
