"""Offer runs: the list, one run, and a run as it goes on."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from orchestrator.domain.cell_details import RunJob
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.run import MissingTrial, RunState
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_filter import RunFilter
from orchestrator.reporting.formats.plain_data import json_line
from orchestrator.reporting.reports.run_details import RUN, run_details_report
from orchestrator.reporting.reports.run_glance import GLANCE, glance_report
from orchestrator.reporting.reports.run_list import RUN_LIST, run_list_report
from orchestrator.reporting.tables.conditions import breaches, condition_lines
from orchestrator.services.pages.kept import NOW_S
from orchestrator.services.pages.offers import Offers, offers
from orchestrator.services.pages.watching import LOOK_S, look
from orchestrator.services.runs.listing import ListRequest
from orchestrator.services.runs.show import require_run, show
from orchestrator.web.answers import answered
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, Limit, site_of
from orchestrator.web.site import Site

router = APIRouter()
STREAMS_MAX = 100
"""Readers that follow runs at the same time. More are told to come back: each keeps a connection."""
_QUIET_LOOKS = 15
"""Looks without news after which a word is sent, so that proxies keep the connection."""


@dataclass(frozen=True, slots=True)
class RunConditions:
    """Hold the conditions of a list in the address, as `benchfleet runs list` takes them."""

    tag: Annotated[list[str], Query(default_factory=list, max_length=20)]
    sweep: str = ""
    device: str = ""
    model: str = ""
    name: str = ""
    state: str = ""
    since: str = ""
    excluded: bool = False

    def read(self) -> RunFilter:
        """Return the conditions. An empty field of the page's form stands for any."""
        return ListRequest(
            sweep=self.sweep or None,
            device=self.device or None,
            model=self.model or None,
            name=self.name or None,
            state=self.state or None,
            since=self.since or None,
            tags=tuple(filter(None, self.tag)),
            excluded=self.excluded,
        ).read()


Conditions = Annotated[RunConditions, Depends()]


@router.get("/runs", include_in_schema=False)
def runs_page(request: Request, conditions: Conditions, limit: Limit = 50) -> Response:
    """Show the newest runs."""
    site = site_of(request)
    found = site.runs(limit, conditions.read())
    return site.page(
        request,
        "runs.html.jinja",
        runs=found,
        limit=limit,
        asked=conditions,
        states=[one.value for one in RunState],
        question=request.url.query,
    )


@router.get("/api/v1/runs", **shaped("runs", RUN_LIST))
def runs(request: Request, conditions: Conditions, limit: Limit = 50, form: Form = "json") -> Response:
    """Return the newest runs first, as `benchfleet runs list` does."""
    return answered(run_list_report(site_of(request).wiring.list_runs(limit, conditions.read())), form, "runs")


@router.get("/runs/{run}", include_in_schema=False)
def run_page(request: Request, run: str) -> Response:
    """Show a run: progress, results, and the reasons of missing trials."""
    site = site_of(request)
    read = site.kept.get(("run", run), NOW_S, lambda: _read(run, site))
    details, jobs = read.details, read.jobs
    return site.page(
        request,
        "run.html.jinja",
        details=details,
        record=details.record,
        glance=look(details.record.header.run, site.reader, site.kept),
        breaches=breaches,
        condition_lines=condition_lines,
        offers=read.offers,
        is_active=details.record.state is RunState.ACTIVE,
        job_of_series={one.series: one.job for one in jobs},
        job_of_label={(one.device, one.label): one.job for one in jobs},
        mean=mean_of,
        missing=_grouped(details.missing),
        environments={result.cell.device: result.environments for result in details.results if result.environments},
    )


@router.get("/api/v1/runs/{run}", **shaped("run", RUN))
def run(request: Request, run: str, form: Form = "json") -> Response:
    """Return a run in full, as `benchfleet runs show` does. `last` is the newest."""
    return answered(run_details_report(show(run, site_of(request).reader)), form, run)


@router.get("/api/v1/runs/{run}/glance", **shaped("glance", GLANCE))
def glance(request: Request, run: str, form: Form = "json") -> Response:
    """Return where a run stands now."""
    site = site_of(request)
    name = require_run(site.reader.runs, run).header.run
    return answered(glance_report(look(name, site.reader, site.kept)), form, run)


@router.get("/api/v1/runs/{run}/events", operation_id="events", response_model=None)
async def events(request: Request, run: str) -> Response:
    """Follow a run by server-sent events: `glance` with the shape of the same name at every change, then `end`."""
    site = site_of(request)
    # The database blocks, and this function runs in the loop: a reader of hours must not hold a thread.
    record = await run_in_threadpool(require_run, site.reader.runs, run)
    # Counted here rather than by the server: a stream holds a connection for hours, a page for a moment.
    streams: set[object] = request.app.state.streams
    if len(streams) >= STREAMS_MAX:
        said = {"error": "StoreError", "message": "too many readers follow runs", "hint": "reload in a while"}
        return JSONResponse(said, status_code=503, headers={"Retry-After": "30"})
    place = object()
    streams.add(place)  # in the same step of the loop as the look at the limit: a burst must not pass it
    return StreamingResponse(
        _followed(request, site, record.header.run, streams, place),
        media_type="text/event-stream",
        # nginx would keep events until its buffer is full.
        headers={"X-Accel-Buffering": "no"},
    )


async def _followed(request: Request, site: Site, run: str, streams: set[object], place: object) -> AsyncIterator[str]:
    """Yield events until the run has ended or the reader has left. Leave the place among the streams then."""
    try:
        last, quiet = "", 0
        while not await request.is_disconnected():
            seen = await run_in_threadpool(look, run, site.reader, site.kept)
            text = json_line(GLANCE.json.plain(seen))
            quiet = quiet + 1 if text == last else 0
            if text != last:
                yield f"event: glance\ndata: {text}\n\n"
                last = text
            elif quiet % _QUIET_LOOKS == 0:
                yield ": still there\n\n"
            if seen.finished_at is not None:
                yield "event: end\ndata: {}\n\n"
                return
            await asyncio.sleep(LOOK_S)
    finally:
        # Also when the reader leaves in the middle of an event.
        streams.discard(place)


def mean_of(result: CellResult) -> float | None:
    """Return the value of a cell as `runs show` has it: None where a trial is not above zero."""
    values = result.trial_values
    return statistics.geometric_mean(values) if values and min(values) > 0 else None


@dataclass(frozen=True, slots=True)
class _Read:
    """Hold what a run's page reads."""

    details: RunDetails
    jobs: Sequence[RunJob]
    offers: Offers


def _read(run: str, site: Site) -> _Read:
    details = show(run, site.reader)
    jobs = site.reader.cells.jobs_of(details.record.header.run)
    return _Read(details, jobs, offers(details.record, details.results, site.reader))


def _grouped(missing: Sequence[MissingTrial]) -> Sequence[tuple[MissingTrial, int]]:
    """Return the first trial of each cell with the same state and reason, with the number of such trials."""
    counts = Counter((one.device, one.label, one.state, one.reason) for one in missing)
    first = {(one.device, one.label, one.state, one.reason): one for one in reversed(missing)}
    return [(first[key], counts[key]) for key in counts]
