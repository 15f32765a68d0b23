"""Read what routes have in common out of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from orchestrator.web.site import Site

Form = Annotated[str, Query(alias="format", description="json, csv or markdown")]


def site_of(request: Request) -> Site:
    """Return the site that answers a request."""
    site: Site = request.app.state.site
    return site
