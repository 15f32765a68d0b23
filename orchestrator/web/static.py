"""Serve style and scripts from memory. The address has the release's version, so that a browser may keep each file."""

from __future__ import annotations

import gzip
import mimetypes
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
_FOR_EVER = "public, max-age=31536000, immutable"


class StaticRoute(Route):
    """Answer for the files of the package's static folder."""

    def __init__(self, path: str) -> None:
        super().__init__(path, _static, methods=["GET"], include_in_schema=False)


# Async, as nothing is read from disk: style and scripts take none of the few threads.
async def _static(request: Request) -> Response:
    found = _files().get(request.path_params["name"])
    if found is None:
        return PlainTextResponse("error: there is no such file\n", status_code=404)
    plain, packed, kind = found
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    # Packed once at the first request, not for each reader.
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(plain, media_type=kind, headers=headers)


@cache
def _files() -> dict[str, tuple[bytes, bytes, str]]:
    """Return content, packed content and type by name. Listed once: no name of a request ever becomes a path."""
    return {
        str(file.relative_to(FOLDER)): (
            content := file.read_bytes(),
            gzip.compress(content, 9, mtime=0),
            mimetypes.guess_type(file.name)[0] or "text/plain",
        )
        for file in sorted(FOLDER.rglob("*"))
        if file.is_file()
    }
