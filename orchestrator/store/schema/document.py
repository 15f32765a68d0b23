"""Write docs/schema.md from the tables and views: `python -m orchestrator.store.schema.document > docs/schema.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from sqlalchemy import URL, Column, Table

from orchestrator.store.schema.partial_indexes import metadata
from orchestrator.store.schema.views import VIEWS, ViewVersion

# A dialect alone needs neither server nor driver, so that anybody can write the page.
_DIALECTS = tuple(URL.create(name).get_dialect()() for name in ("sqlite", "postgresql+psycopg"))

_INTRODUCTION = """\
# The database

`python -m orchestrator.store.schema.document` writes this page, and a test compares. The schema is the same on SQLite
(the default, a file) and on PostgreSQL. `benchfleet sql` reads both, and so does any other client.

* Units are in names (`duration_ns`, `size_bytes`). A measurement's unit is in its own column. A value that was not
  measured is NULL, never 0.
* Moments are UTC: `timestamptz` on PostgreSQL, text such as `2026-03-01T08:30:00.000000Z` on SQLite. The text sorts as
  time.
* JSON is `jsonb` on PostgreSQL and canonical text on SQLite. `settings ->> 'threads'` works on both.
* The unit of replication is the trial. A trial's *counted* attempt is the first attempt that is ok and broke no
  condition. The views show counted attempts only. `attempt` and `measurement` keep all attempts.
* Views are the public interface: their columns stay, and new versions add columns. Tables may change with any release.
* A run that a person has excluded (`run.excluded_at`) is in tables, and in no view of measurements or trials. The
  newest value of a cell is then that of an earlier run.
* A percentile is NULL if there are too few samples for a distribution-free 95 % interval: fewer than 6 for p50, 29 for
  p90, 299 for p99, 2995 for p99.9.

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

-- what measured the power of each device, how often, and why is there no figure?
SELECT device, source, count(*) AS trials, avg(rate_hz) AS rate_hz, avg(idle_w) AS idle_w, reason FROM v_power
GROUP BY device, source, reason ORDER BY device;

-- which runs of a branch were made, by what commit?
SELECT run.id, run.name, run.git_commit, run.git_dirty, run.note FROM run
JOIN run_tag ON run_tag.run_id = run.id AND run_tag.key = 'branch' AND run_tag.value = 'main'
WHERE run.excluded_at IS NULL ORDER BY run.started_at;

-- why did trials fail?
SELECT failure_kind, count(*) FROM attempt WHERE outcome = 'failed' GROUP BY failure_kind;
```
"""


def schema_document() -> str:
    """Return the text of docs/schema.md."""
    return "\n".join((_INTRODUCTION, "## Views\n", *_views(VIEWS), "## Tables\n", *_tables(metadata.sorted_tables)))


def _views(views: Iterable[ViewVersion]) -> Iterator[str]:
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
