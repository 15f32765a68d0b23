"""Offer what differs around two runs: environment and artifacts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.domain.errors import ConfigError, NothingToCompare
from orchestrator.domain.run_difference import RunDifference
from orchestrator.reporting.reports.run_difference import DIFFERENCES, difference_report
from orchestrator.services.pages.kept import SETTLED_S
from orchestrator.services.pages.offers import run_to_begin_with
from orchestrator.services.pages.reading import Reading
from orchestrator.services.results.difference import DifferenceRequest, run_difference
from orchestrator.web.answers import answered
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of
from orchestrator.web.site import Site

router = APIRouter()
_RUNS_OFFERED = 60


def _differing(site: Site, before: str, after: str) -> RunDifference:
    return run_difference(DifferenceRequest(before or "last-before", after or "last"), Reading(site.reader))


@router.get("/changes", include_in_schema=False)
def changes_page(request: Request, before: str = "last-before", after: str = "", run: str = "") -> Response:
    """Show what differs between two runs, device by device.

    An empty `after` is the newest run with values. `run` asks for what became of it since.
    """
    site = site_of(request)
    asked = {"before": run or before, "after": "" if run else after}
    offered: dict[str, Any] = {"runs": site.runs(_RUNS_OFFERED), "asked": asked}
    try:
        asked["after"] = asked["after"] or run_to_begin_with(site.reader)
        pair = asked["before"], asked["after"]
        found = site.kept.get(("changes", *pair), SETTLED_S, lambda: _differing(site, *pair))
    except NothingToCompare as error:
        return site.page(request, "changes.html.jinja", found=None, problem=error, **offered)
    except ConfigError as error:
        return site.page(request, "changes.html.jinja", 422, found=None, problem=error, **offered)
    return site.page(request, "changes.html.jinja", found=found, problem=None, **offered)


@router.get("/api/v1/changes", **shaped("changes", DIFFERENCES))
def changes(request: Request, before: str = "last-before", after: str = "last", form: Form = "json") -> Response:
    """Return what differs around two runs as `benchfleet env-diff` does."""
    return answered(difference_report(_differing(site_of(request), before, after)), form, "changes")
