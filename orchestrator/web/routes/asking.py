"""Read what routes have in common out of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from orchestrator.web.site import Site

Limit = Annotated[int, Query(ge=1, le=1000)]
Form = Annotated[str, Query(alias="format", description="json, csv or markdown")]


def site_of(request: Request) -> Site:
    """Return the site that answers a request."""
    site: Site = request.app.state.site
    return site
