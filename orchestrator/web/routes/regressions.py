"""Offer regressions, and take the decisions of people: the page's only writes, with notes."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.regression import Actor, Regression, RegressionState, moves
from orchestrator.reporting.reports.regressions import (
    REGRESSION_LIST,
    REGRESSION_SHOWN,
    regression_report,
    regressions_report,
)
from orchestrator.services.history.annotations import AnnotateRequest, annotate
from orchestrator.services.history.regressions import Decision, decide, list_regressions, show_regression
from orchestrator.services.pages.reading import Reading
from orchestrator.web.answers import answered
from orchestrator.web.drawing import RatioScale
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of
from orchestrator.web.routes.signing import form_of
from orchestrator.web.site import Site

router = APIRouter()
Id = Annotated[int, Path(ge=1, lt=1 << 63)]
NOTE = "note"


class Chosen(BaseModel):
    """Hold the filters of a list. `all`: ended and only suspected regressions too."""

    nightly: str = ""
    device: str = ""
    state: str = ""
    all: bool = False


def _found(site: Site, chosen: Chosen) -> Sequence[Regression]:
    listed = list_regressions(chosen.nightly or None, Reading(site.reader), ended=chosen.all or bool(chosen.state))
    return [one for one in listed if chosen.device in ("", one.series.device) and chosen.state in ("", one.state.value)]


@router.get("/regressions", include_in_schema=False)
def regressions_page(request: Request, chosen: Annotated[Chosen, Query()]) -> Response:
    """Show the regressions confirmed by nights."""
    site = site_of(request)
    found = _found(site, chosen)
    figures = {one.id: one.figures for one in found if one.figures is not None}
    scale = RatioScale([end for one in figures.values() for end in (one.ratio, one.low, one.high)])
    return site.page(
        request,
        "regressions.html.jinja",
        regressions=found,
        whiskers={key: scale.whisker(one.ratio, one.low, one.high) for key, one in figures.items()},
        states=[one.value for one in RegressionState],
        asked=chosen,
    )


@router.get("/api/v1/regressions", **shaped("regressions", REGRESSION_LIST))
def regressions(request: Request, chosen: Annotated[Chosen, Query()], form: Form = "json") -> Response:
    """Return regressions as `benchfleet regressions list` does."""
    return answered(regressions_report(_found(site_of(request), chosen)), form, "regressions")


@router.get("/regressions/{regression}", include_in_schema=False)
def regression_page(request: Request, regression: Id, done: str = "") -> Response:
    """Show a regression with its life, and the form to decide."""
    return _shown(site_of(request), request, regression, done=done)


@router.get("/api/v1/regressions/{regression}", **shaped("regression", REGRESSION_SHOWN))
def regression(request: Request, regression: Id, form: Form = "json") -> Response:
    """Return a regression with every step of the life."""
    details = show_regression(regression, Reading(site_of(request).reader))
    return answered(regression_report(details), form, f"regression-{regression}")


@router.post("/regressions/{regression}", include_in_schema=False)
async def decided(request: Request, regression: Id) -> Response:
    """Take a decision or a note. The record has the writer's name."""
    site = site_of(request)
    given = await form_of(request)
    if not hmac.compare_digest(given.get("form_token", "").encode(), site.access.form_token().encode()):
        raise ConfigError("the form is of an earlier start of the server", "reload the page, and send it again")
    try:
        await run_in_threadpool(_write, site, request, regression, given)
        site.kept.forget()
    except ConfigError as error:
        # What was typed stays in the form: a reason may have taken minutes to write.
        return await run_in_threadpool(_shown, site, request, regression, problem=error, given=given)
    # Redirected, so that a reload of the answer decides nothing again.
    return RedirectResponse(f"/regressions/{regression}?done={_step_of(given)}", status_code=303)


def _write(site: Site, request: Request, regression: int, given: dict[str, str]) -> None:
    writer = site.wiring.writer()
    who = site.access.person(request.headers, given.get("who", ""), writer.identity().holder)
    step, reason = _step_of(given), given.get("reason", "")
    if step == NOTE:
        series = show_regression(regression, Reading(site.reader)).regression.series
        # About today: a device may be called like a run.
        today = datetime.now(UTC).date().isoformat()
        annotate(AnnotateRequest(today, reason, device=series.device, series=series.id, who=who), writer)
    else:
        decide(Decision(regression, RegressionState(step), reason, who), writer)


def _step_of(given: dict[str, str]) -> str:
    step = given.get("step", "")
    if step != NOTE and step not in {state.value for state in RegressionState}:
        raise ConfigError(f"there is no step {step!r}", "choose one of the form")
    return step


def _shown(
    site: Site,
    request: Request,
    regression: int,
    *,
    done: str = "",
    problem: ConfigError | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    # Read anew after a decision that failed: somebody else may have decided meanwhile.
    details = show_regression(regression, Reading(site.reader))
    one = details.regression
    figures = one.figures
    drawn = None
    if figures is not None:
        drawn = RatioScale([figures.ratio, figures.low, figures.high]).whisker(figures.ratio, figures.low, figures.high)
    return site.page(
        request,
        "regression.html.jinja",
        200 if problem is None else 422,
        details=details,
        one=one,
        drawn=drawn,
        possible=sorted(state.value for state in moves(one.state, Actor.PERSON)),
        named=site.access.token is not None and site.access.proxy_header is None,
        done=done,
        problem=problem,
        given=given or {},
    )
