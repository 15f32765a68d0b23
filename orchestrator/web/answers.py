"""Answer with a report, in the shapes and formats of the command."""

from __future__ import annotations

import io

from starlette.responses import Response

from orchestrator.domain.errors import ConfigError
from orchestrator.reporting.formats import FORMATS
from orchestrator.reporting.report import Report

_TYPES = {
    "json": ("application/json", None),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "markdown": ("text/markdown; charset=utf-8", "md"),
}


def answered(report: Report, form: str, name: str) -> Response:
    """Return a report as JSON, CSV or Markdown. `name` is the file's name without its ending.

    Raise ConfigError for another format.
    """
    if form not in _TYPES:
        raise ConfigError(f"there is no format {form!r}", f"known: {', '.join(_TYPES)}")
    stream = io.StringIO()
    FORMATS[form].write(report, stream)
    kind, ending = _TYPES[form]
    # A header takes ASCII alone, and a quote would end the name there.
    # A run's id comes from the address, and must not end the header.
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}.{ending}"'} if ending else {}
    return Response(stream.getvalue(), media_type=kind, headers=headers)
