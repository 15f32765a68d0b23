"""What a night writes down: the same content once, whole or not at all, and by one process."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError, ConfigError, IncompleteError
from orchestrator.domain.model import Artifact, Format, Model, ModelInput
from orchestrator.domain.night_record import NightRecord
from orchestrator.services.nights.folder import NightFolder, stem_of
from orchestrator.specs.model import load_model
from orchestrator.testing.event_logs import sample_model, sample_sweep


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def a_model(content: Blob) -> Model:
    model = sample_model()
    variant = replace(model.variants["fp32"], artifacts=(Artifact(Format.TFLITE, "/anywhere", content.sha256),))
    shape = replace(model.input, dtype="float32")
    return replace(model, variants={"fp32": variant}, input=shape)


def test_a_model_is_written_whole_and_read_back(tmp_path: Path, cache: BlobCache) -> None:
    content = cache.add(b"weights", BlobKind.MODEL, "net.tflite")
    written = NightFolder(tmp_path, cache).model(a_model(content), {content.sha256: content})

    found = load_model(Path(written.directory))  # compares the hash of every file

    assert found == written
    assert Path(found.variants["fp32"].artifacts[0].path).read_bytes() == b"weights"
    assert found.variants["fp32"].artifacts[0].file_name == "net.tflite"


def test_files_of_inputs_go_with_the_model(tmp_path: Path, cache: BlobCache) -> None:
    own = tmp_path / "own" / "x.npy"
    own.parent.mkdir()
    np.save(own, np.arange(4, dtype="float32"))
    array = cache.add(own, BlobKind.INPUT, own.name)
    content = cache.add(b"weights", BlobKind.MODEL, "net.tflite")
    taken = ModelInput((4,), "float32", file=str(own))
    model = replace(a_model(content), input=taken, inputs={"x": taken})

    written = NightFolder(tmp_path, cache).model(model, {content.sha256: content}, {str(own): array})

    found = load_model(Path(written.directory))
    assert found == written
    for one in found.all_inputs:
        assert Path(str(one.file)).read_bytes() == own.read_bytes()
        assert Path(str(one.file)).is_relative_to(written.directory)


def test_one_content_has_one_folder_and_another_content_another(tmp_path: Path, cache: BlobCache) -> None:
    folder = NightFolder(tmp_path, cache)
    first, second = (cache.add(content, BlobKind.MODEL, "net.tflite") for content in (b"one", b"two"))
    again = [folder.model(a_model(first), {first.sha256: first}).directory for _ in range(2)]

    assert again[0] == again[1] != folder.model(a_model(second), {second.sha256: second}).directory


def test_a_model_whose_content_is_gone_has_no_model_file(tmp_path: Path, cache: BlobCache) -> None:
    gone = Blob("0" * 64, 3, BlobKind.MODEL, "net.tflite")
    with pytest.raises(BlobError, match="is not in"):
        NightFolder(tmp_path, cache).model(a_model(gone), {gone.sha256: gone})
    assert not list(tmp_path.rglob("model.yaml"))


def test_what_a_night_has_written_stays(tmp_path: Path, cache: BlobCache) -> None:
    folder = NightFolder(tmp_path, cache)
    assert folder.write("a.json", "first").read_text() == "first"
    assert folder.write("a.json", "second").read_text() == "first"
    assert [path.name for path in folder.path.iterdir()] == ["a.json"]


def test_a_sweep_may_change_until_the_night_is_fixed(tmp_path: Path, cache: BlobCache) -> None:
    folder, sweep = NightFolder(tmp_path, cache), replace(sample_sweep(), model=str(tmp_path))
    first = folder.sweep("a", sweep).read_text()
    changed = replace(sweep, trials=sweep.trials + 1)
    assert folder.sweep("a", changed).read_text() == first
    assert folder.sweep("a", changed, anew=True).read_text() != first


def test_a_night_of_another_database_has_other_files() -> None:
    night = NightRecord("digits-20261129", "digits", datetime(2026, 11, 29, 2, tzinfo=UTC))
    later = replace(night, began_at=night.began_at + timedelta(hours=1))
    assert stem_of(night, "one").startswith("digits-20261129.")
    assert len({stem_of(night, "one"), stem_of(night, "two"), stem_of(later, "one")}) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, cache: BlobCache) -> None:
    (tmp_path / "nights").write_text("in the way")
    with pytest.raises(ConfigError, match=r"nights.*cannot be written"):
        NightFolder(tmp_path, cache).write("a.json", "text")


def test_one_process_at_a_time_runs_a_nightly(tmp_path: Path, cache: BlobCache) -> None:
    folder, other = NightFolder(tmp_path, cache), NightFolder(tmp_path, cache)
    with folder.alone("digits"):
        with pytest.raises(IncompleteError, match="under way in another process"), other.alone("digits"):
            pass
        with other.alone("words"):
            pass
    with other.alone("digits"):
        pass


def test_names_are_on_the_disk_and_not_only_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    NightFolder(tmp_path, BlobCache(tmp_path / "cache")).write("digits-20261129.json", "{}")

    assert synced[0] == str(tmp_path), "the new folder's name"
    assert synced[1].startswith(str(tmp_path / "nights" / ".incoming-")), "the content, before its name"
    assert synced[2:] == [str(tmp_path / "nights")], "the file's name"
