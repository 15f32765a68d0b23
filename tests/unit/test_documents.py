"""Documents name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
ROOTS = (REPOSITORY, REPOSITORY / "orchestrator")
"""Pages name a part of the controller without its package, where the sentence is about the controller."""

PLACEHOLDER = re.compile(r"NAME|NNNN|[A-Z]{4,}")


def paths_in(page: Path) -> list[str]:
    """Return the words in backticks that look like a path into a folder of the product."""
    words = re.findall(r"`([a-z_]+/[\w./-]*)`", page.read_text(encoding="utf-8"))
    tops = {path.name for root in ROOTS for path in root.iterdir() if path.is_dir()}
    return [word for word in words if word.partition("/")[0] in tops and not PLACEHOLDER.search(word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_are_there(page: Path) -> None:
    missing = [word for word in paths_in(page) if not any((root / word).exists() for root in ROOTS)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_pages_name_many() -> None:
    assert len(paths_in(REPOSITORY / "ARCHITECTURE.md")) > 30


def test_every_decision_has_a_number_of_its_own_and_says_it() -> None:
    records = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    # Numbers are taken before records are written: there may be gaps meanwhile, and no two of a number.
    numbers = [record.name[:4] for record in records]
    assert len(numbers) == len(set(numbers))
    assert all(number.isdecimal() for number in numbers)
    assert [
        record for record in records if not record.read_text(encoding="utf-8").startswith(f"# {record.name[:4]}. ")
    ] == []
