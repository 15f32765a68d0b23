"""Write docs/schema.md from the tables and views: `python -m orchestrator.store.schema_document > docs/schema.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from sqlalchemy import URL, Column, Table

from orchestrator.store.partial_indexes import metadata
from orchestrator.store.views import VIEWS, View

_DIALECTS = tuple(URL.create(name).get_dialect()() for name in ("sqlite", "postgresql+psycopg"))

_INTRODUCTION = """\
# The database

Written by `python -m orchestrator.store.schema_document`; a test compares. The same schema stands on SQLite (the
default: a file) and on PostgreSQL; `benchfleet sql` reads either, and so does any other client.

* Units are in names (`duration_ns`, `size_bytes`); a measurement's unit is in its own column. What was not measured is
  NULL, never 0.
* Moments are UTC: `timestamptz` on PostgreSQL, text such as `2026-03-01T08:30:00.000000Z` on SQLite, which sorts as
  time.
* JSON is `jsonb` on PostgreSQL and canonical text on SQLite; `settings ->> 'threads'` works on both.
* The unit of replication is the trial. A trial's *counted* attempt is its first one that is ok and broke no condition;
  the views show nothing else, `attempt` and `measurement` keep all.
* Views are the public interface: their columns stay, new versions add some. Tables may change with any release.
* A percentile is NULL where the samples are too few for a distribution-free 95 % interval of it: below 6 for p50, 29
  for p90, 299 for p99, 2995 for p99.9.

## Examples

```sql
-- what is the present latency of every cell of a device?
SELECT model, variant, runtime, settings ->> 'threads' AS threads, value / 1000 AS latency_us, trials
FROM v_latest WHERE device = 'pi-03' AND metric = 'latency_ns' AND kind = 'measure' ORDER BY value;

-- what did int8 gain over fp32 in each run?
SELECT run, run_started_at, device, model, runtime, settings, ratio_to_base FROM v_variant_compare
WHERE variant = 'int8' AND metric = 'latency_ns' AND kind = 'measure' ORDER BY run_started_at;

-- a histogram of one attempt's samples; v_history names the attempts
SELECT bin_low, bin_high, count FROM sample_hist
WHERE attempt_id = (SELECT max(attempt_id) FROM v_history WHERE metric = 'latency_ns' AND kind = 'measure')
AND metric = 'latency_ns' ORDER BY bin_low;

-- why did trials fail?
SELECT failure_kind, count(*) FROM attempt WHERE outcome = 'failed' GROUP BY failure_kind;
```
"""


def schema_document() -> str:
    """Return docs/schema.md."""
    return "\n".join((_INTRODUCTION, "## Views\n", *_views(VIEWS), "## Tables\n", *_tables(metadata.sorted_tables)))


def _views(views: Iterable[View]) -> Iterator[str]:
    for view in views:
        yield f"### {view.name} (version {view.version})\n\n{view.doc}\n\n| column | meaning |\n|---|---|"
        yield from (f"| `{column.name}` | {column.doc} |" for column in view.columns)
        yield ""


def _tables(tables: Iterable[Table]) -> Iterator[str]:
    for table in sorted(tables, key=lambda table: table.name):
        yield f"### {table.name}\n\n{table.info['doc']}\n"
        yield "| column | SQLite | PostgreSQL | meaning |\n|---|---|---|---|"
        yield from (_column(column) for column in table.columns)
        yield ""


def _column(column: Column[object]) -> str:
    required = "" if column.nullable else " NOT NULL"
    types = [f"{column.type.compile(dialect)}{required}" for dialect in _DIALECTS]
    notes = ["**Key.**"] if column.primary_key else []
    notes += [column.doc or ""]
    notes += [f"→ `{key.target_fullname}`" for key in column.foreign_keys]
    return f"| `{column.name}` | {types[0]} | {types[1]} | {' '.join(note for note in notes if note)} |"


if __name__ == "__main__":
    sys.stdout.write(schema_document())
