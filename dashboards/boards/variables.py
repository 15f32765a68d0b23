"""List the choices that several boards share."""

from __future__ import annotations

from dashboards.boards.elements import Variable

DEVICE = Variable("device", "SELECT name FROM device ORDER BY name")
MODEL = Variable("model", "SELECT name FROM model ORDER BY name", several=False)
VARIANT = Variable(
    "variant",
    "SELECT DISTINCT variant FROM v_latest WHERE model IN (${model:sqlstring}) ORDER BY variant",
)
RUNTIME = Variable(
    "runtime",
    "SELECT DISTINCT runtime FROM v_latest WHERE model IN (${model:sqlstring}) ORDER BY runtime",
)
RUN = Variable("run", "SELECT id FROM run ORDER BY started_at DESC, id DESC", several=False)

# Of nothing to choose from, Grafana writes nothing where several may be chosen: an empty array is SQL, an empty IN is
# not. Where one is chosen there is always a text, and PostgreSQL reads IN of one faster: views pass an equality on.
OF_DEVICES = "device = ANY (ARRAY[${device:sqlstring}]::text[])"
OF_CELLS = (
    "model IN (${model:sqlstring}) AND device = ANY (ARRAY[${device:sqlstring}]::text[])"
    " AND variant = ANY (ARRAY[${variant:sqlstring}]::text[]) AND runtime = ANY (ARRAY[${runtime:sqlstring}]::text[])"
)
OF_RUN = "run IN (${run:sqlstring})"

LINE = "concat_ws(' ', device, variant, runtime, CAST(settings AS text))"
"""The name of a cell's line on a time axis."""


def cells_over_time(metric: str, column: str, kind: str = "measure", name: str = LINE) -> str:
    """Return the SQL of one metric of the chosen cells, run by run."""
    return f"""\
SELECT run_started_at AS time, {name} AS metric, value AS {column}
FROM v_cell
WHERE $__timeFilter(run_started_at) AND {OF_CELLS} AND metric = '{metric}' AND kind = '{kind}'
ORDER BY 1, 2"""


def cells_of_run(metric: str, column: str, kind: str = "measure") -> str:
    """Return the SQL of one metric of all cells of the chosen run."""
    return f"""\
SELECT {LINE} AS cell, value AS {column}
FROM v_cell
WHERE {OF_RUN} AND metric = '{metric}' AND kind = '{kind}'
ORDER BY device, variant, runtime, job_id"""
