"""Offer the models on record."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.reporting.reports.lineages import LINEAGES, lineages_report
from orchestrator.services.pages.kept import SETTLED_S
from orchestrator.web.answers import answered
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of

router = APIRouter()


@router.get("/models", include_in_schema=False)
def models_page(request: Request) -> Response:
    """Show models as trees of variants."""
    site = site_of(request)
    models = site.kept.get("models", SETTLED_S, site.reader.lineages.models)
    return site.page(request, "models.html.jinja", models=models)


@router.get("/api/v1/models", **shaped("models", LINEAGES))
def models(request: Request, form: Form = "json") -> Response:
    """Return the models on record, with every artifact."""
    return answered(lineages_report(site_of(request).reader.lineages.models()), form, "models")
