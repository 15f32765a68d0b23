"""Offer the fleet: the first page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.reporting.reports.fleet import FLEET, fleet_report
from orchestrator.services.pages.fleet import ORDERS, FleetRequest, fleet_cards
from orchestrator.services.pages.kept import NOW_S
from orchestrator.web.answers import answered
from orchestrator.web.drawing import spark
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of

router = APIRouter()
STATES = ("quarantined", "failed", "stopped", "running", "reserved", "idle")


@router.get("/", include_in_schema=False)
def fleet_page(
    request: Request, select: str = "all", state: str = "", sort: str = "attention", view: str = "cards"
) -> Response:
    """Show every device as a card or as a row."""
    site = site_of(request)
    asked = FleetRequest(select, state or None, sort)
    cards = site.kept.get(("fleet", asked), NOW_S, lambda: fleet_cards(asked, site.reader))
    tags = sorted({f"{name}={value}" for card in cards for name, value in card.tags.items()})
    return site.page(
        request,
        "fleet.html.jinja",
        cards=cards,
        sparks={card.device: spark([point.noise for point in card.noise]) for card in cards},
        states=STATES,
        orders=tuple(ORDERS),
        tags=tags,
        asked=FleetRequest(select, state, sort),
        view=view,
    )


@router.get("/api/v1/fleet", **shaped("fleet", FLEET))
def fleet(
    request: Request, select: str = "all", state: str = "", sort: str = "attention", form: Form = "json"
) -> Response:
    """Return every device at a glance. `select` is an expression as `--select` takes one."""
    cards = fleet_cards(FleetRequest(select, state or None, sort), site_of(request).reader)
    return answered(fleet_report(cards), form, "fleet")
