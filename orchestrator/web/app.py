"""Put the page together: routes, guard, errors, and the number of threads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response

from orchestrator import __version__
from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.reporting.text import clean_lines
from orchestrator.services.pages.base import PageWiring
from orchestrator.web import openapi
from orchestrator.web.access import Access
from orchestrator.web.guard import Guard
from orchestrator.web.routes import cells, changes, compare, fleet, history, models, regressions, runs, signing, sql
from orchestrator.web.routes.asking import site_of
from orchestrator.web.site import Site
from orchestrator.web.static import StaticRoute

THREADS = 8
"""Requests that work at the same time: as many as there are connections. Others wait for a thread, without one."""
_GZIP_BYTES_MIN = 1_000
_ABSENT = re.compile(r"there is no (run|regression|cell|series|model|device|night)\b")
"""How services begin the message about a name that leads nowhere."""


def create_app(wiring: PageWiring, access: Access) -> FastAPI:
    """Return the page over a wiring, for any ASGI server."""
    app = FastAPI(
        title="benchfleet",
        version=__version__,
        description="What the page shows, in the shapes of docs/json.md. Everything here only reads.",
        # The interactive pages of the framework load scripts from elsewhere, which the policy forbids.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=_bounded_threads,
    )
    app.state.site = Site(wiring, access)
    app.state.streams = set()
    app.openapi = lambda: openapi.described(app)  # type: ignore[method-assign]
    # Level 9, the default, takes far longer for some per cent.
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_BYTES_MIN, compresslevel=5)
    app.add_middleware(Guard, access=access)  # added last, and so asked first
    for part in (fleet, runs, compare, cells, regressions, history, changes, models, sql, signing):
        app.include_router(part.router)
    # Not a mounted folder: files come from memory, and names of requests never become paths.
    app.router.routes.append(StaticRoute("/static/{version}/{name:path}"))
    app.add_exception_handler(OrchestratorError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(Exception, _defect)
    return app


@asynccontextmanager
async def _bounded_threads(_app: FastAPI) -> AsyncIterator[None]:
    # Here and not in create_app: each event loop has a limiter of its own.
    # The default of 40 threads would wait for 8 connections, until the wait for one times out.
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _failed(request: Request, error: Exception) -> Response:
    """Answer with what a service said: the words of the command line, without a trace."""
    assert isinstance(error, OrchestratorError)
    # A database out of reach is no fault of the address: a watcher may try again.
    status = 404 if _ABSENT.match(error.message) else 422 if isinstance(error, ConfigError) else 503
    return _told(request, status, error.message, error.hint, error.code)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is no such page", 405: f"{request.method} is not for this address"}
    way = "/api/v1/openapi.json lists every address" if _is_api(request) else "the list above leads to every page"
    return _told(request, error.status_code, words.get(error.status_code, str(error.detail)), way)


def _misread(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()[:3]]
    return _told(request, 422, "; ".join(found) or "the address makes no sense", None)


def _defect(request: Request, _error: Exception) -> Response:
    """Answer for a defect of ours. The server's log has the trace, and no reader does."""
    return _told(request, 500, "unexpected error", "this is a defect of benchfleet; the server's output shows where")


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _told(request: Request, status: int, what: str, hint: str | None, code: str = "ConfigError") -> Response:
    what, hint = clean_lines(what), None if hint is None else clean_lines(hint)
    if _is_api(request):
        return JSONResponse({"error": code, "message": what, "hint": hint}, status_code=status)
    if "text/html" not in request.headers.get("accept", "text/html"):
        return PlainTextResponse(f"error: {what}\n" + (f"hint: {hint}\n" if hint else ""), status_code=status)
    return site_of(request).page(request, "error.html.jinja", status, what=what, hint=hint)
