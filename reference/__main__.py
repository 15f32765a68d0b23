"""Write docs and schemas. `tests/unit/reference` compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from reference.kinds import schemas
from reference.metrics import metrics_page
from reference.pages import PAGES, page

ROOT = Path(__file__).resolve().parents[1]


def written_files() -> Mapping[Path, str]:
    """Return the text of every file."""
    found = schemas()
    files = {ROOT / "schemas" / f"{kind}.schema.json": json.dumps(one, indent=1) + "\n" for kind, one in found.items()}
    pages = {f"{name}.md": page(kind, found[kind]) for kind, name in PAGES.items()} | {"metrics.md": metrics_page()}
    return {**files, **{ROOT / "docs" / name: text for name, text in pages.items()}}


if __name__ == "__main__":
    for path, text in written_files().items():
        path.write_text(text, encoding="utf-8")
