"""Views for what people ask: noise, what is missing, what was invalid, changed environments, and Pareto fronts.

Revision 0011 follows 0010.
"""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

VIEWS = ("v_noise", "v_missing", "v_invalid", "v_env_changes", "v_pareto")
PATHS = {"place.number": "'$[' || place.number || ']'", "fact.name": "'$.' || fact.name"}
"""What an SQLite of before 3.38 takes in the place of an element's number or key."""


def upgrade() -> None:
    folder = Path(__file__).resolve().parents[1] / "views"
    for name in VIEWS:
        statement = (folder / f"{name}.1.sql").read_text(encoding="utf-8")
        op.execute(_for_older_sqlite(statement) if op.get_context().dialect.name == "sqlite" else statement)


def _for_older_sqlite(statement: str) -> str:
    """Return a statement without `->>`. An SQLite that does not know the operator could not read the file at all."""
    return re.sub(r"([a-z.]+) ->> ([a-z.]+)", lambda found: f"json_extract({found[1]}, {PATHS[found[2]]})", statement)


def downgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
