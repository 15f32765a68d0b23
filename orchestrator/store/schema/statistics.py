"""Let PostgreSQL look at tables that grew, before the next question about the tables.

Without statistics, and with statistics of a nearly empty database, PostgreSQL takes many rows for few: a question that
takes a tenth of a second takes seconds. Autovacuum would look too, but later, and not where it is turned off. SQLite
finds the same plans with and without statistics, and is left alone.
"""

from __future__ import annotations

import time
from contextlib import suppress

from sqlalchemy import text

from orchestrator.domain.errors import StoreError
from orchestrator.store.schema.tables import metadata
from orchestrator.store.sql.engine import Database

ROWS_MIN = 1_000
"""The least number of changed rows that is worth a look."""
SECONDS_MAX = 5.0
"""The bound on all looks of a command. The next command goes on with the tables that are left."""


def keep_statistics(database: Database) -> None:
    """Renew the statistics of each table of which half as many rows have changed as were there at the last look.

    Nothing is promised: tables of another owner, locked tables and slow tables stay as they are.
    """
    if database.is_sqlite:
        return
    with suppress(StoreError):
        with database.read() as connection:
            # The cheapest first: a table too large for the bound keeps no other from its turn.
            grown = connection.execute(_GROWN, {"names": list(metadata.tables), "least": ROWS_MIN}).scalars().all()
        until = time.monotonic() + SECONDS_MAX
        for table in grown:
            left_ms = int((until - time.monotonic()) * 1000)
            if left_ms <= 0:
                return
            with suppress(StoreError), database.write() as connection:
                # Neither a waiting migration nor another look is waited for.
                connection.execute(_BOUND, {"lock": "100ms", "statement": f"{left_ms}ms"})
                connection.exec_driver_sql(f"ANALYZE {table}")


_GROWN = text(
    """
SELECT format('%I.%I', seen.schemaname, seen.relname)
FROM pg_stat_user_tables AS seen
JOIN pg_class ON pg_class.oid = seen.relid
WHERE seen.relid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
  AND pg_has_role(pg_class.relowner, 'USAGE')
  AND seen.n_mod_since_analyze >= CAST(:least AS integer) + greatest(pg_class.reltuples, 0) / 2
ORDER BY seen.n_live_tup, 1
"""
)
_BOUND = text("SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true)")
