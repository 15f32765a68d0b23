from __future__ import annotations

import pytest

from orchestrator.resources import shipped


@pytest.mark.parametrize("name", ["inventory", "models", "sweeps", "migrations"])
def test_what_comes_with_the_package_is_found(name: str) -> None:
    assert shipped(name).is_dir()


def test_what_does_not_come_with_it_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nonsense did not come with this installation"):
        shipped("nonsense")


def test_a_file_that_comes_with_the_package_is_found() -> None:
    assert shipped("nightly.yaml").is_file()
