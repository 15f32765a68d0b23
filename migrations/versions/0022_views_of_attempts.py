"""Views of every attempt, and of changed facts under the names that people look for: was, now.

Revision 0022 follows 0021.
"""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_ELEMENT = re.compile(r"([a-z.]+) ->> fact\.name")


def upgrade() -> None:
    op.execute("DROP VIEW v_env_changes")
    _create("v_environment_change")
    _create("v_attempt")


def downgrade() -> None:
    op.execute("DROP VIEW v_attempt")
    op.execute("DROP VIEW v_environment_change")
    _create("v_env_changes")


def _create(view: str) -> None:
    file = Path(__file__).resolve().parents[1] / "views" / f"{view}.1.sql"
    statement = file.read_text(encoding="utf-8")
    if op.get_context().dialect.name == "sqlite":
        # An SQLite of before 3.38 has no `->>`, and could then not read the file at all.
        statement = _ELEMENT.sub(r"json_extract(\1, '$.' || fact.name)", statement)
    op.execute(statement)
