"""Offer the form for the token, and say that the server lives."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from orchestrator.domain.errors import ConfigError
from orchestrator.web.access import COOKIE
from orchestrator.web.routes.asking import site_of

router = APIRouter(include_in_schema=False)
_FORM_BYTES_MAX = 64 << 10


@router.get("/sign-in")
def sign_in(request: Request) -> Response:
    """Show the form for the token."""
    return site_of(request).page(request, "sign-in.html.jinja", wrong=False)


@router.post("/sign-in")
async def signed_in(request: Request) -> Response:
    """Take the token, and remember the reader by a cookie until the server ends."""
    site = site_of(request)
    if not site.access.is_token((await form_of(request)).get("token", "")):
        return site.page(request, "sign-in.html.jinja", 401, wrong=True)
    answer = RedirectResponse("/", status_code=303)
    # Browsers drop a secure cookie that comes by plain HTTP: nobody could sign in.
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, site.access.session(), httponly=True, samesite="strict", secure=secure)
    return answer


@router.get("/healthz")
def healthy(request: Request) -> Response:
    """Say whether the database answers, for watchers of services."""
    # A real question: a server that lives without its database is of no use.
    site_of(request).reader.fleet.standing_regressions()
    return PlainTextResponse("ok\n")


async def form_of(request: Request) -> dict[str, str]:
    """Return the first value of each field of a form. Raise ConfigError for a form that is too long."""
    # Not request.form(), which reads a form of any length, and needs one more package.
    body = b""
    async for part in request.stream():
        body += part
        # Before the rest is read: the length that a header states may be a lie.
        if len(body) > _FORM_BYTES_MAX:
            raise ConfigError(f"the form is longer than {_FORM_BYTES_MAX >> 10} KiB", "write less")
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace"), keep_blank_values=True).items()}
