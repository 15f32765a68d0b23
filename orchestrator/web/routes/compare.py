"""Offer comparisons of variants, runtimes, devices, settings and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from orchestrator.domain.errors import ConfigError, IncompleteError, NothingToCompare
from orchestrator.domain.measurement import COORDINATES, RUN
from orchestrator.domain.metric import is_accuracy
from orchestrator.reporting.reports.comparison import COMPARE, comparison_report
from orchestrator.services.pages.offers import offers_of, run_to_begin_with
from orchestrator.services.pages.pareto import pareto, pareto_metrics
from orchestrator.services.results.request import CompareRequest
from orchestrator.web.answers import answered
from orchestrator.web.drawing import scatter
from orchestrator.web.matrix import matrix
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of

router = APIRouter()
_RUNS_OFFERED = 40
_USED = ("latency", "p90", "p99", "memory", "energy", "power", "size", "accuracy", "load", "first_inference")


class Asked(BaseModel):
    """Hold what an address says of a comparison. Empty words leave the choice to the comparison."""

    by: str = ""
    base: str = ""
    against: str = ""
    metric: str = Field("", description="A metric's name or alias; empty for the usual ones.")

    def request(self, run: str) -> CompareRequest:
        """Return the request to a run."""
        metrics = [self.metric] if self.metric else []
        return CompareRequest(run, self.base or None, self.by or None, against=self.against or None, metrics=metrics)


class Shown(Asked):
    """Hold what the page shows too: the run, and the two metrics against each other, of one device or of all.

    An empty run is the newest one with values.
    """

    run: str = ""
    x: str = ""
    y: str = ""
    device: str = ""


@router.get("/compare", include_in_schema=False)
def compare_page(request: Request, shown: Annotated[Shown, Query()]) -> Response:
    """Show a comparison: the matrix, the intervals, and two metrics against each other."""
    site = site_of(request)
    offered: dict[str, Any] = {
        "runs": site.runs(_RUNS_OFFERED),
        "coordinates": (*COORDINATES, RUN),
        "metrics": _USED,
        "asked": shown.model_dump(include={"run", "by", "base", "against", "metric"}),
        "offers": None,
    }
    try:
        offered["asked"]["run"] = run = shown.run or run_to_begin_with(site.reader)
        found = site.comparisons.compared(shown.request(run))
    except (NothingToCompare, IncompleteError) as error:
        # The question is well put: the page says what the run offers instead.
        offered["offers"] = offers_of(offered["asked"]["run"], site.reader)
        return site.page(request, "compare.html.jinja", comparison=None, problem=error, **offered)
    except ConfigError as error:
        # The form stays: most likely one word of it is wrong.
        return site.page(request, "compare.html.jinja", 422, comparison=None, problem=error, **offered)
    choices = pareto_metrics(found)
    plane = pareto(found, shown.x or choices[0], shown.y or _second(choices), shown.device or None)
    named = {group.device for group in found.groups if group.device}
    return site.page(
        request,
        "compare.html.jinja",
        comparison=found,
        problem=None,
        table=matrix(found),
        choices=choices,
        devices=sorted(named | {point.device for point in plane.points if point.device}),
        device=shown.device,
        plane=plane,
        # No cell may have both metrics: there is no plane then.
        drawing=scatter([(one.x, one.y, one.on_front) for one in plane.points]) if plane.points else None,
        **offered,
    )


@router.get("/api/v1/runs/{run}/comparison", **shaped("comparison", COMPARE))
def comparison(request: Request, run: str, asked: Annotated[Asked, Query()], form: Form = "json") -> Response:
    """Return a comparison as `benchfleet compare` prints it."""
    found = site_of(request).comparisons.compared_anew(asked.request(run))
    return answered(comparison_report(found), form, f"compare-{found.run}")


def _second(choices: Sequence[str]) -> str:
    """Return the metric that says most beside the first: an accuracy, else the size, else whatever there is."""
    accuracies = [name for name in choices if is_accuracy(name)]
    return accuracies[0] if accuracies else choices[-1]
