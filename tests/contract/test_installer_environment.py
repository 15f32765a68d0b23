"""Installers choose what the runtime says, whatever variables of a project are in the environment: real uv and pip."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.blobs.packages import Contents
from orchestrator.blobs.targets import Installer, WheelTarget
from orchestrator.blobs.wheels import WheelRequest, install_wheels

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
TARGETS = {
    Installer.UV: WheelTarget(Installer.UV, "x86_64", ("x86_64-manylinux_2_28",), PYTHON),
    Installer.PIP: WheelTarget(Installer.PIP, "armv7l", ("linux_armv7l",), PYTHON, ("counted",)),
}


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """Write a wheel of one module, which knows its version."""
    info = f"{name}-{version}.dist-info"
    need = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{need}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def request_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelRequest:
    """The request of a package that needs another one, of which a folder has three versions."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "runtime", "1.0", "counted>=1")
    for version in ("1.0", "2.0", "3.0rc1"):
        make_wheel(wheels, "counted", version)
    for kind in ("UV", "PIP"):
        monkeypatch.setenv(f"{kind}_NO_INDEX", "1")
        monkeypatch.setenv(f"{kind}_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return WheelRequest(Contents("runtime==1.0"), TARGETS[Installer.UV], "here", {})


def chosen(request: WheelRequest, folder: Path) -> str:
    (folder / "out").mkdir()
    install_wheels(request, folder / "out")
    return next((folder / "out" / "tree").glob("counted-*.dist-info")).name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_RESOLUTION", "lowest"),
        ("UV_PRERELEASE", "allow"),
        ("UV_CONSTRAINT", "{folder}/bounds.txt"),
        ("UV_OVERRIDE", "{folder}/bounds.txt"),
        ("UV_EXCLUDE_NEWER", "2001-01-01T00:00:00Z"),
        ("UV_REQUIRE_HASHES", "1"),
        ("UV_NO_BINARY", "1"),
    ],
)
def test_a_projects_variables_choose_no_other_versions(
    request_for: WheelRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (tmp_path / "bounds.txt").write_text("counted==1.0\n")
    monkeypatch.setenv(name, value.format(folder=tmp_path))
    assert chosen(request_for, tmp_path) == "counted-2.0.dist-info"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PIP_CONSTRAINT", "{folder}/bounds.txt"), ("PIP_PRE", "1"), ("PIP_REQUIRE_HASHES", "1"), ("PIP_DRY_RUN", "1")],
)
def test_pip_is_left_alone_as_well(
    request_for: WheelRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    pytest.importorskip("pip")
    (tmp_path / "bounds.txt").write_text("counted==1.0\n")
    monkeypatch.setenv(name, value.format(folder=tmp_path))
    contents = Contents("runtime==1.0", beside=("counted",))
    request = WheelRequest(contents, TARGETS[Installer.PIP], "there", {})
    assert chosen(request, tmp_path) == "counted-2.0.dist-info"
