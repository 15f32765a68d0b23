"""Stand before every route: names, tokens, other sites' forms, and the headers that keep a page from running foreign
scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.web.access import Access

SECURITY_HEADERS: Mapping[str, str] = {
    # No inline script and no inline style: text of a device that slipped through would still do nothing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: a form that names no origin is known by its referrer.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}
OPEN_PATHS = ("/static/", "/sign-in", "/healthz")
"""What a reader without the token gets: style, scripts and the form for the token. Nothing of the lab."""
SIGN_IN = "/sign-in"
ASKING = ("/sql", "/api/v1/sql")
"""Where an address has the database work: another site's page must not set that off by a picture or a link."""
_READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuse what should not reach a route, and set the security headers of every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                # What a person has read behind a token is not for the next person at the browser.
                # A shared computer must not show the lab after its reader has left.
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, sending)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is refused, or None."""
        headers = Headers(scope=scope)
        if not self._access.calls(headers.get("host", "")):
            return _refused(421, "this server is not called by that name", "benchfleet serve --name NAME adds a name")
        path, method = scope["path"], scope["method"]
        if method not in _READING and not self._is_own_form(headers):
            return _refused(403, *_foreign_form(headers))
        if path.startswith(ASKING) and headers.get("sec-fetch-site") == "cross-site":
            return _refused(403, "a statement in another site's link is not run", "open the page, and type it there")
        if path.startswith(OPEN_PATHS) or self._access.lets_in(headers, _cookies(headers)):
            return None
        # With a proxy alone there is nothing to type here: the person signs in there.
        if self._access.token is None:
            return _refused(
                401,
                f"the request names no person in {self._access.proxy_header}",
                "come through the proxy, and sign in there; if you have, the proxy does not pass that header on",
            )
        if method in _READING and "text/html" in headers.get("accept", ""):
            return RedirectResponse(SIGN_IN, status_code=303)
        if headers.get("authorization"):
            return _refused(
                401,
                "Authorization does not have the token of this server",
                "Authorization: Bearer TOKEN, with what BENCHFLEET_TOKEN was when the server was started",
            )
        return _refused(401, "a token is needed", "Authorization: Bearer TOKEN")

    def _is_own_form(self, headers: Headers) -> bool:
        """Return False for a form that comes from elsewhere, or from nowhere, as the browser says."""
        # Older browsers send no such header. The origin decides then.
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        # Browsers that know no Sec-Fetch-Site send an Origin with every form.
        origin = headers.get("origin") or headers.get("referer") or ""
        return bool(origin) and urlsplit(origin).netloc == headers.get("host")


def _foreign_form(headers: Headers) -> tuple[str, str]:
    """Say why a form is not taken. A proxy that changes Host makes the page's own form look like another site's."""
    host, site = headers.get("host"), headers.get("sec-fetch-site")
    origin = urlsplit(headers.get("origin") or headers.get("referer") or "").netloc
    if not origin:
        return "a form without an Origin is not taken", f"send the form from the page, or with Origin: http://{host}"
    if site == "same-origin":
        return (
            f"a form of {origin} is not taken by {host}",
            "a proxy in between changes the name of the server: have it pass the header Host on as it is",
        )
    return "a form of another site is not taken", "send the form from the page itself"


def _cookies(headers: Headers) -> Mapping[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _refused(status: int, what: str, hint: str) -> Response:
    return PlainTextResponse(f"error: {what}\nhint: {hint}\n", status_code=status)
