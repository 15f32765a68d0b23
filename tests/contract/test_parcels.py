"""A sweep goes into the database with every file, and comes out elsewhere as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.blob import Blob
from orchestrator.domain.errors import BlobError, ConfigError, StoreError
from orchestrator.domain.submission import ParcelFile
from orchestrator.services.queue.parcel import pack, unpack
from orchestrator.services.queue.submit import upload
from orchestrator.specs.reach import Reach
from orchestrator.specs.sweep import SweepFile, load_sweep
from orchestrator.store.records import vault
from orchestrator.store.schema import tables
from orchestrator.store.store import Store

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "CHUNK_BYTES", 10_000)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFile:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "run.sh").write_text("echo hello\n")
    program = {"name": "shell", "command": ["sh", "run.sh"], "files": ["run.sh"]}
    document = {
        "sweep": "both",
        "models": [str(MODELS / "digits"), str(MODELS / "audio")],
        "variants": ["fp32", "int8"],
        "runtimes": ["ai-edge-litert==2.3.0", {"exec": program}],
        "matrix": {"threads": [1, 2]},
        "trials": 3,
        "accuracy": {"dataset": {"digits": "digits-test.npz"}, "metric": "top1"},
    }
    file = tmp_path / "lab" / "both.yaml"
    file.write_text(json.dumps(document))
    return load_sweep(file, reach=Reach(MODELS), overrides=["trials=4"])


def sent(blobs: dict[str, Blob], cache: BlobCache, store: Store) -> list[str]:
    """Send a parcel, and return what was told."""
    lines: list[str] = []
    for name, blob in blobs.items():
        upload(name, blob, cache.path(blob), store, lines.append)
    return lines


def files_of(blobs: dict[str, Blob]) -> list[ParcelFile]:
    return [ParcelFile(name, blob.sha256, blob.size) for name, blob in blobs.items()]


def test_a_sweep_comes_out_as_it_went_in(store: Store, sweep: SweepFile, tmp_path: Path) -> None:
    here, there = BlobCache(tmp_path / "here"), BlobCache(tmp_path / "there")
    blobs = dict(pack(sweep, here))
    assert sent(blobs, here, store)
    path = unpack(files_of(blobs), tmp_path / "elsewhere", store, there)
    found = load_sweep(path)
    assert found.sweep.trials == 4, "what flags laid over the file is in the text"
    assert [model.name for model in found.models] == ["digits", "audio"]
    assert found.sweep.variants == sweep.sweep.variants
    assert found.sweep.matrix == sweep.sweep.matrix
    assert [runtime.label for runtime in found.sweep.runtimes] == [runtime.label for runtime in sweep.sweep.runtimes]
    program = found.sweep.runtimes[1].program
    assert program is not None
    assert Path(program.files[0][1]).read_text() == "echo hello\n"
    for before, after in zip(sweep.models, found.models, strict=True):
        for name in sweep.sweep.variants:
            if name in before.variants:
                hashes = [one.sha256 for one in before.variants[name].artifacts]
                assert [one.sha256 for one in after.variants[name].artifacts] == hashes
    assert dict(pack(sweep, here)) == blobs, "equal sweeps make equal parcels"


def test_only_what_is_missing_is_sent_and_a_cut_upload_goes_on(
    store: Store, sweep: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = BlobCache(tmp_path / "here")
    blobs = dict(pack(sweep, cache))
    put, left = store.vault.put_chunk, iter([True, True, True])

    def cut(sha256: str, position: int, content: bytes) -> None:
        if next(left, None) is None:
            raise StoreError("the line was cut")
        put(sha256, position, content)

    monkeypatch.setattr(store.vault, "put_chunk", cut)
    with pytest.raises(StoreError, match="the line was cut"):
        sent(blobs, cache, store)
    monkeypatch.setattr(store.vault, "put_chunk", put)
    lines = sent(blobs, cache, store)
    assert any("the others are there" in line for line in lines), lines
    assert sent(blobs, cache, store) == [], "everything is there by now"
    assert unpack(files_of(blobs), tmp_path / "elsewhere", store, BlobCache(tmp_path / "there")).exists()


def test_an_unpacking_that_was_cut_goes_on_and_mends(store: Store, sweep: SweepFile, tmp_path: Path) -> None:
    cache, empty = BlobCache(tmp_path / "here"), BlobCache(tmp_path / "there")
    blobs = dict(pack(sweep, cache))
    sent(blobs, cache, store)
    folder = tmp_path / "elsewhere"
    path = unpack(files_of(blobs), folder, store, empty)
    text = path.read_text()
    path.write_text("half")
    assert unpack(files_of(blobs), folder, store, empty).read_text() == text
    assert [one.name for one in folder.rglob(".incoming-*")] == []


def test_other_bytes_than_the_hash_says_are_refused_and_can_be_sent_again(
    store: Store, sweep: SweepFile, tmp_path: Path
) -> None:
    cache = BlobCache(tmp_path / "here")
    blobs = dict(pack(sweep, cache))
    sent(blobs, cache, store)
    chosen = blobs["sweep.yaml"].sha256
    with store.database.write() as connection:
        connection.execute(update(tables.blob_chunk).where(tables.blob_chunk.c.sha256 == chosen).values(content=b"x"))
    with pytest.raises(BlobError, match=r"sweep.yaml: the database had other bytes"):
        unpack(files_of(blobs), tmp_path / "elsewhere", store, BlobCache(tmp_path / "there"))
    assert not (tmp_path / "elsewhere" / "sweep.yaml").exists()
    (line,) = sent(blobs, cache, store)
    assert line.startswith("sending sweep.yaml")
    assert unpack(files_of(blobs), tmp_path / "elsewhere", store, BlobCache(tmp_path / "there")).exists()


def test_a_parcel_writes_nothing_outside_of_its_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no path within a submission"):
        unpack([ParcelFile("../outside", "0" * 64, 1)], tmp_path / "in", store, BlobCache(tmp_path / "there"))
    assert not (tmp_path / "outside").exists()


def test_files_of_inputs_are_in_the_parcel(store: Store, tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODELS / "digits", tmp_path / "lab" / "digits")) / "model.yaml"
    np.save(model.parent / "images.npy", np.zeros((5, 8, 8, 1), "float32"))
    text = model.read_text()
    model.write_text(text.replace("dtype: float32, low: 0.0, high: 1.0}", "dtype: float32, file: images.npy}"))
    assert model.read_text() != text
    document = {"sweep": "fed", "model": "digits", "variants": ["fp32"], "runtimes": ["onnxruntime==1.20.1"]}
    file = tmp_path / "lab" / "fed.yaml"
    file.write_text(json.dumps(document))
    here, there = BlobCache(tmp_path / "here"), BlobCache(tmp_path / "there")
    blobs = dict(pack(load_sweep(file), here))
    sent(blobs, here, store)
    found = load_sweep(unpack(files_of(blobs), tmp_path / "elsewhere", store, there)).model.input
    assert (found.shape, found.low) == ((1, 8, 8, 1), None)
    assert Path(str(found.file)).read_bytes() == (model.parent / "images.npy").read_bytes()
    assert Path(str(found.file)).is_relative_to(tmp_path / "elsewhere")
