"""Offer SQL that only reads, as `benchfleet sql` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cache
from itertools import islice
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.domain.errors import ConfigError
from orchestrator.reporting.reports.sql_rows import rows_report
from orchestrator.specs.questions import Question, questions
from orchestrator.web.answers import answered
from orchestrator.web.routes.asking import Form, site_of
from orchestrator.web.site import Site

router = APIRouter()
AT_ONCE = 2
"""Statements of people that run at the same time: others wait here, and every other page goes on."""
ROWS_SHOWN, ROWS_MAX = 500, 100_000
ANSWER_BYTES_MAX = 64 << 20
"""The longest answer, in bytes of texts and blobs. A few hundred long values would take the server's memory."""
STATEMENT_MAX = 20_000
Statement = Annotated[str, Query(max_length=STATEMENT_MAX, description="One statement that only reads.")]
Rows = tuple[Sequence[str], list[Sequence[Any]], bool]


@cache
def _turns() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(AT_ONCE)


@router.get("/sql", include_in_schema=False)
async def sql_page(request: Request, statement: Statement = "") -> Response:
    """Show the form, the answer, the saved questions and the schema."""
    site = site_of(request)
    found, problem = None, None
    if statement.strip():
        try:
            found = await _asked_in_turn(request, statement, ROWS_SHOWN)
        except ConfigError as error:
            problem = error
    return await anyio.to_thread.run_sync(_page, site, request, statement, found, problem)


@router.get("/api/v1/sql", operation_id="sql", response_model=None)
async def sql(
    request: Request,
    statement: Statement,
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = ROWS_MAX,
    form: Form = "json",
) -> Response:
    """Return the rows of a statement as an array of objects, or as CSV. The columns are those of the statement."""
    columns, rows, _ = await _asked_in_turn(request, statement, limit)
    return await anyio.to_thread.run_sync(answered, rows_report(columns, rows), form, "rows")


async def _asked_in_turn(request: Request, statement: str, limit: int) -> Rows:
    """Wait for a turn, and ask. Raise ConfigError as `_asked` does, and for a reader who left while waiting."""
    async with _turns():
        # Otherwise the queue of a page that was reloaded ten times holds everybody for minutes.
        if await request.is_disconnected():
            raise ConfigError("the reader has left", "ask again")
        return await anyio.to_thread.run_sync(_asked, site_of(request), statement, limit)


def _asked(site: Site, statement: str, limit: int) -> Rows:
    """Return columns, at most `limit` rows, and whether there are more. Raise ConfigError for a longer answer."""
    rows: list[Sequence[Any]] = []
    size = 0
    with closing(site.wiring.page_console()) as console:
        # One row more than wanted tells whether there are more.
        columns, lines = console.query(statement, limit + 1)
        for row in islice(lines, limit + 1):
            size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
            # The console bounds a single row, and the memory of the process or server that computes.
            if size > ANSWER_BYTES_MAX:
                raise ConfigError(
                    f"the answer is longer than {ANSWER_BYTES_MAX >> 20} MiB", "ask for fewer rows, or for substr()"
                )
            rows.append(row)
    return columns, rows[:limit], len(rows) > limit


def _page(site: Site, request: Request, statement: str, found: Rows | None, problem: ConfigError | None) -> Response:
    return site.page(
        request,
        "sql.html.jinja",
        200 if problem is None else 422,
        statement=statement,
        found=found,
        problem=problem,
        questions=_questions(),
        relations=site.wiring.relations(),
    )


@cache
def _questions() -> Sequence[Question]:
    return questions()
