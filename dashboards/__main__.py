"""Draw all files that follow from the questions and the boards: `python -m dashboards`."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.boards.files import files
from dashboards.cookbook import cookbook
from dashboards.datasette import datasette_metadata

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the files, and name them."""
    drawn = {"docs/sql-cookbook.md": cookbook(), "dashboards/datasette.json": datasette_metadata(), **files()}
    for name, text in drawn.items():
        file = REPOSITORY / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
