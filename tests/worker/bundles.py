"""Real bundles of runtimes, and the artifacts of the digits model."""

import io
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from worker_client import REPOSITORY

MODELS = os.path.join(REPOSITORY, "models", "digits")


def pack_bundle(folder, packages):
    """Return a zip of packages for this Python; skip where they cannot be had."""
    uv = shutil.which("uv") or shutil.which("uv", path=os.path.join(REPOSITORY, ".venv", "bin"))
    target = str(folder / "packages")
    if uv is None:
        pytest.skip("uv is not installed")
    python = ["--python", sys.executable]
    command = [uv, "pip", "install", "--quiet", *python, "--target", target, "--only-binary", ":all:", *packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        pytest.skip(f"{' '.join(packages)} cannot be installed here: {done.stdout.decode()[-300:]}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for parent, _, names in os.walk(target):
            for name in names:
                path = os.path.join(parent, name)
                archive.write(path, os.path.relpath(path, target))
    return packed.getvalue()


def read_model(name):
    with open(os.path.join(MODELS, name), "rb") as file:
        return file.read()
