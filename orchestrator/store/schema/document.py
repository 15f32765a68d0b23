"""Write docs/schema.md from the tables and views: `python -m orchestrator.store.schema.document > docs/schema.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import URL, Column, Table

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.store.schema.partial_indexes import metadata
from orchestrator.store.schema.views import VIEWS, ViewVersion

# A dialect alone needs neither server nor driver, so that anybody can write the page.
_DIALECTS = tuple(URL.create(name).get_dialect()() for name in ("sqlite", "postgresql+psycopg"))

_INTRODUCTION = """\
# The database

The schema is the same on SQLite (the default, a file) and on PostgreSQL. `benchfleet sql` reads both, and so does any
other client. `benchfleet db schema` prints this page, and `benchfleet db schema v_cell` one view or table.

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

-- which attempts do not count, and why?
SELECT device, variant, result, reason, count(*) AS attempts FROM v_attempt WHERE result <> 'counted'
GROUP BY device, variant, result, reason ORDER BY attempts DESC;

-- what changed on the devices, and which run saw it first?
SELECT device, run, key, was, now FROM v_environment_change ORDER BY changed_at;

-- how do the trials of a cell scatter over all runs: mean, deviation, and the 90th percentile of their medians?
SELECT device, variant, count(*) AS trials, avg(value) AS mean, stddev(value) AS deviation,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY value) AS p90
FROM v_history WHERE metric = 'latency_ns' AND kind = 'measure' GROUP BY device, variant ORDER BY device, variant;

-- how hot did each attempt begin?
SELECT attempt.id, sensor.key, sensor.value
FROM attempt, jsonb_each(attempt.conditions_before) AS sensor WHERE sensor.key = 'temperature_c' ORDER BY attempt.id;
```

## One text for both databases

`benchfleet sql`, and the page's SQL, understand these words of PostgreSQL over SQLite as well. Another client of an
SQLite file has what its own SQLite has.

* `stddev`, `stddev_samp`, `stddev_pop`, `variance`, `var_samp`, `var_pop`: as on PostgreSQL, also with `OVER (…)`;
  NULL for too few values.
* `percentile_cont(0.9) WITHIN GROUP (ORDER BY value)` and `percentile_disc`: as on PostgreSQL, with `DESC` too; for a
  single share, not for a list. `percentile_cont(value, 0.9)` is SQLite's own way.
* `mode() WITHIN GROUP (ORDER BY variant)`: as on PostgreSQL.
* `jsonb_each(facts)`, `jsonb_each_text(facts)`: rows of `key` and `value`. SQLite's own `json_each(facts)` has more
  columns, and PostgreSQL's is for `json` alone.
* `jsonb_array_elements(invalid)`, `jsonb_array_elements_text(invalid)`: rows of `value`.

The same on both without further ado: `settings ->> 'threads'`, and `CAST(settings ->> 'threads' AS integer)` for a
number; `CAST(x AS real)` and `CAST(x AS text)` (`x::text` is PostgreSQL's alone); `substr`, `coalesce`, `||`,
`FILTER (WHERE …)`, windows.

Quantiles over SQLite hold at most 4 million values. Never take a quantile over the samples of several trials: samples
of one process hang together, and the trial is the unit of replication.

## Raw samples

`benchfleet runs samples last --cell 'device=pi-03,variant=int8' -o int8.npz` writes the raw samples of cells, also as
CSV and Parquet, and `benchfleet export --samples` those of whole runs. Who reads `sample_block` unpacks `data`:

* A block has `count` samples of one metric of one attempt, in the order of measuring: unsigned whole numbers, in the
  unit that the metric's name ends in. Each is the mean of `batch` calls.
* `crc32` is the CRC-32 (as of zlib) of `data`.
* `data` is a zlib stream (RFC 1950) of `count` x width bytes. The width is 4 for `u32-shuffle-zlib`, and 8 for
  `u64-shuffle-zlib`.
* The bytes are shuffled: first the lowest byte of every sample, then the second byte of every sample, and so on.

```python
import sqlite3
import zlib
from contextlib import closing

import numpy as np

with closing(sqlite3.connect("benchfleet.db")) as connection:
    blocks = connection.execute("SELECT attempt_id, metric, codec, count, data FROM sample_block").fetchall()
for attempt, metric, codec, count, data in blocks:
    width = {"u32-shuffle-zlib": 4, "u64-shuffle-zlib": 8}[codec]
    shuffled = np.frombuffer(zlib.decompress(data), dtype=np.uint8)
    samples = np.ascontiguousarray(shuffled.reshape(width, count).T).view(f"<u{width}").reshape(count)
    print(attempt, metric, samples.min(), samples.max())
```

## Where this page comes from

`python -m orchestrator.store.schema.document` writes it, and a test compares.
"""


def schema_document(names: Sequence[str] = ()) -> str:
    """Return the text of docs/schema.md, or of the named views and tables alone.

    Raise ConfigError for an unknown name.
    """
    if not names:
        tables = sorted(metadata.sorted_tables, key=lambda table: table.name)
        return "\n".join((_INTRODUCTION, "## Views\n", *_views(VIEWS), "## Tables\n", *_tables(tables)))
    views = {view.name: view for view in VIEWS}
    for name in names:
        if name not in views and name not in metadata.tables:
            known = [*views, *sorted(metadata.tables)]
            raise ConfigError(f"there is no view or table {name!r}", did_you_mean(name, known, len(known)))
    lines = (
        _views([views[name]]) if name in views else _tables([metadata.tables[name]]) for name in dict.fromkeys(names)
    )
    return "\n".join(chain.from_iterable(lines))


def _views(views: Iterable[ViewVersion]) -> Iterator[str]:
    for view in views:
        yield f"### {view.name} (version {view.version})\n\n{view.doc}\n\n| column | meaning |\n|---|---|"
        yield from (f"| `{column.name}` | {column.doc} |" for column in view.columns)
        yield ""


def _tables(tables: Iterable[Table]) -> Iterator[str]:
    for table in tables:
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
