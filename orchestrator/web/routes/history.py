"""Offer series over nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import SeriesHistory
from orchestrator.reporting.reports.series_history import HISTORIES, history_report
from orchestrator.services.history.over_time import HistoryRequest, series_over_time
from orchestrator.services.history.window import read_window
from orchestrator.services.pages.kept import SETTLED_S
from orchestrator.services.pages.reading import Reading
from orchestrator.web.answers import answered
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of
from orchestrator.web.site import Site
from orchestrator.web.timeline import timeline

router = APIRouter()
_NIGHTS = 120
_METRICS = ("latency", "p90", "p99", "memory", "energy", "power", "accuracy")


class Asked(BaseModel):
    """Hold what an address says of a history. `series` is an id or a rule such as `device=pi-03,variant=int8`."""

    series: str = ""
    metric: str = HEADLINE_METRIC
    since: str = ""
    until: str = ""
    limit: int = Field(_NIGHTS, ge=1, le=3650)


class Shown(Asked):
    """Hold what the page shows too: without a series, the series of a device to choose from."""

    device: str = ""


def _over_time(site: Site, asked: Asked) -> Sequence[SeriesHistory]:
    window = read_window(asked.since or None, asked.until or None, asked.limit)
    return series_over_time(HistoryRequest([asked.series], asked.metric, window), Reading(site.reader))


@router.get("/history", include_in_schema=False)
def history_page(request: Request, shown: Annotated[Shown, Query()]) -> Response:
    """Show a series over nights, or the series to choose from."""
    site = site_of(request)
    offered: dict[str, Any] = {"asked": shown, "metrics": _METRICS}
    if not shown.series:
        series = site.kept.get(("series", shown.device), SETTLED_S, lambda: _series(site, shown.device))
        return site.page(request, "series.html.jinja", series=series, **offered)
    try:
        found = site.kept.get(("history", shown.model_dump_json()), SETTLED_S, lambda: _over_time(site, shown))
    except ConfigError as error:
        return site.page(request, "history.html.jinja", 422, histories=(), problem=error, **offered)
    drawn = [(one, timeline(one)) for one in found]
    return site.page(request, "history.html.jinja", histories=drawn, problem=None, **offered)


@router.get("/api/v1/history", **shaped("history", HISTORIES))
def history(request: Request, asked: Annotated[Asked, Query()], form: Form = "json") -> Response:
    """Return series over time as `benchfleet history` does."""
    return answered(history_report(_over_time(site_of(request), asked)), form, "history")


def _series(site: Site, device: str) -> Sequence[Series]:
    found = site.reader.series.find_series(device=device or None)
    # By words: ids are in the order of first runs, which no reader knows.
    return sorted(found, key=lambda one: (one.device, one.model, one.variant, one.runtime, str(one.settings)))
