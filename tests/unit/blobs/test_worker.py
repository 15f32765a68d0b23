import hashlib
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import device_worker
from device_worker import loader
from orchestrator.blobs.worker import loader_source, worker_archive

PACKAGE = Path(device_worker.__file__).parent


def names() -> list[str]:
    return zipfile.ZipFile(BytesIO(worker_archive()[0])).namelist()


def test_the_archive_is_named_by_its_sha256() -> None:
    archive, digest = worker_archive()

    assert hashlib.sha256(archive).hexdigest() == digest


def test_every_module_of_the_package_travels_and_no_bytecode() -> None:
    modules = {f"device_worker/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.py")}

    assert {name for name in names() if name.endswith(".py")} == modules | {"__main__.py"}
    assert not [name for name in names() if "__pycache__" in name or name.endswith(".pyc") or "/tests/" in name]


def test_another_process_builds_the_same_bytes() -> None:
    program = "from orchestrator.blobs.worker import worker_archive; print(worker_archive()[1])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == worker_archive()[1]


def test_nothing_is_compressed_so_that_no_zlib_decides_the_hash() -> None:
    infos = zipfile.ZipFile(BytesIO(worker_archive()[0])).infolist()

    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}


def test_the_loader_unpacks_the_archive_as_zipfile_does(tmp_path: Path) -> None:
    archive, _digest = worker_archive()

    loader.install(archive, str(tmp_path / "worker"))

    unpacked = [path for path in (tmp_path / "worker").rglob("*") if path.is_file()]
    with zipfile.ZipFile(BytesIO(archive)) as members:
        assert {path.relative_to(tmp_path / "worker").as_posix(): path.read_bytes() for path in unpacked} == {
            name: members.read(name) for name in members.namelist()
        }
    assert [path.name for path in tmp_path.iterdir()] == ["worker"]


def test_the_archive_runs_as_a_program(tmp_path: Path) -> None:
    program = tmp_path / "worker.pyz"
    program.write_bytes(worker_archive()[0])

    done = subprocess.run([sys.executable, "-I", str(program), "version"], capture_output=True, text=True, check=True)

    assert "protocol 1" in done.stdout


def test_the_loader_is_source_text_that_compiles() -> None:
    compile(loader_source(), "loader", "exec")

    assert loader_source() == (PACKAGE / "loader.py").read_text(encoding="utf-8")
