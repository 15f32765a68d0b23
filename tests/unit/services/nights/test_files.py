"""The files of a night: one that cannot be written costs neither the others nor the verdict."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.nightly import Nightly
from orchestrator.services.nights.telling import check_outputs, write_outputs
from tests.unit.reporting import nights


def test_a_file_without_room_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    outputs = {"json": str(tmp_path / "taken"), "junit": str(tmp_path / "{night}.xml")}
    nightly = Nightly("digits", "nightly.yaml", str(tmp_path), ("s.yaml",), outputs=outputs)
    (error,) = write_outputs(nightly, nights.REPORT, tmp_path / "night.html")
    assert str(error).endswith("taken: the json of the night cannot be written: Is a directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{nights.NIGHT}.xml", "night.html", "taken"]


def test_a_folder_may_be_named_by_the_night(tmp_path: Path) -> None:
    outputs = {"html": str(tmp_path / "reports" / "{night}" / "of {night}.html")}
    nightly = Nightly("digits", "nightly.yaml", str(tmp_path), ("s.yaml",), outputs=outputs)

    check_outputs(nightly)
    assert list((tmp_path / "reports").iterdir()) == []

    assert write_outputs(nightly, nights.REPORT) == ()
    assert (tmp_path / "reports" / nights.NIGHT / f"of {nights.NIGHT}.html").exists()
