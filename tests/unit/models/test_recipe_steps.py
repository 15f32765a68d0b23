"""Steps of a recipe: made once for the same inputs, and whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.models.conversion.steps import Steps


def test_a_step_is_made_again_if_and_only_if_an_input_has_changed(tmp_path: Path) -> None:
    made: list[str] = []
    said: list[str] = []

    def make(folder: Path) -> None:
        made.append(str(folder))
        (folder / "result").write_text(str(len(made)))

    first = Steps(tmp_path, said.append).take("a", {"epochs": 1}, make)
    again = Steps(tmp_path, said.append).take("a", {"epochs": 1}, make)
    other = Steps(tmp_path, said.append).take("a", {"epochs": 2}, make)
    assert first == again
    assert ((first / "result").read_text(), (other / "result").read_text()) == ("1", "2")
    assert said == ["a", "a: as before", "a"]


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        Steps(tmp_path, lambda _line: None).take("a", {}, fail)
    assert list(tmp_path.iterdir()) == []
