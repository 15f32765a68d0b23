"""Draw all files that follow from the questions: `python -m dashboards`."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.cookbook import cookbook
from dashboards.datasette import datasette_metadata

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the files, and name them."""
    for name, drawn in (
        ("docs/sql-cookbook.md", cookbook),
        ("dashboards/datasette.json", datasette_metadata),
    ):
        (REPOSITORY / name).write_text(drawn(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
