"""Write the conditions of a list of runs as SQL that both databases understand, with values beside the text."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.domain.run import RunState
from orchestrator.domain.run_filter import RunFilter

_OF_RUN = "SELECT 1 FROM run_device WHERE run_device.run_id = run.id"
_TRIALS = "SELECT 1 FROM run_device JOIN trial ON trial.run_device_id = run_device.id WHERE run_device.run_id = run.id"
_DEVICES = "SELECT 1 FROM run_device JOIN device ON device.id = run_device.device_id WHERE run_device.run_id = run.id"
_MODELS = "SELECT 1 FROM run_model JOIN model ON model.id = run_model.model_id WHERE run_model.run_id = run.id"
_TAGS = "SELECT 1 FROM run_tag WHERE run_tag.run_id = run.id"
_UNDER_WAY = f"EXISTS ({_OF_RUN} AND run_device.state IN ('planned', 'running'))"
_CANCELLED = f"EXISTS ({_OF_RUN} AND run_device.state = 'cancelled')"
_UNFINISHED = f"EXISTS ({_OF_RUN} AND run_device.state <> 'complete')"
_MEASURES = f"{_TRIALS} AND trial.kind = 'measure'"
_FAILED = f"EXISTS ({_MEASURES} AND trial.state IN ('failed', 'skipped'))"
_LACKING = (
    f"({_UNFINISHED} OR NOT EXISTS ({_MEASURES}) "
    f"OR EXISTS ({_MEASURES} AND trial.state IN ('planned', 'running', 'invalid')))"
)
_ENDED = f"NOT {_UNDER_WAY} AND NOT {_CANCELLED}"
_STATES = {
    RunState.ACTIVE: _UNDER_WAY,
    RunState.CANCELLED: f"NOT {_UNDER_WAY} AND {_CANCELLED}",
    # A failure may be allowed by the text of the sweep: the caller looks at such runs of both states once more.
    RunState.COMPLETE: f"{_ENDED} AND NOT {_LACKING} AND (NOT {_FAILED} OR sweep.document LIKE '%allow_failures%')",
    RunState.INCOMPLETE: f"{_ENDED} AND ({_LACKING} OR {_FAILED})",
}


def conditions_of(wanted: RunFilter) -> tuple[list[str], list[str]]:
    """Return the conditions of a filter, and the values of $1, $2 … in them."""
    conditions = [] if wanted.excluded else ["run.excluded_at IS NULL"]
    values: list[str] = []

    def place(value: str) -> str:
        values.append(value)
        return f"${len(values)}"

    def like(column: str, pattern: str) -> str:
        return rf"lower({column}) LIKE {place(_like(pattern.lower()))} ESCAPE '\'"

    for column, pattern in (("sweep.name", wanted.sweep), ("run.name", wanted.name)):
        if pattern is not None:
            conditions.append(like(column, pattern))
    if wanted.model is not None:
        conditions.append(f"EXISTS ({_MODELS} AND {like('model.name', wanted.model)})")
    if wanted.device is not None:
        conditions.append(f"EXISTS ({_DEVICES} AND {like('device.name', wanted.device)})")
    if wanted.state is not None:
        conditions.append(_STATES[wanted.state])
    if wanted.since is not None:
        conditions.append(f"run.started_at >= {place(utc_text(wanted.since))}")
    for key, value in wanted.tags:
        equal = "" if value is None else f" AND run_tag.value = {place(value)}"
        conditions.append(f"EXISTS ({_TAGS} AND run_tag.key = {place(key)}{equal})")
    return conditions, values


def in_order_after(values: int) -> str:
    """Return the condition of runs listed after a run. Its start and its id follow `values` earlier values."""
    return f"(run.started_at, run.id) < (${values + 1}, ${values + 2})"


def utc_text(moment: datetime) -> str:
    """Return a moment as SQLite stores it, which PostgreSQL reads too."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _like(pattern: str) -> str:
    """Return the LIKE pattern of a pattern with * and ?."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
