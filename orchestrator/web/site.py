"""Hold wiring, access and templates for all routes of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orchestrator import __version__
from orchestrator.domain.metric import metric_named
from orchestrator.domain.run import RunSummary
from orchestrator.domain.run_filter import RunFilter
from orchestrator.domain.sweep import setting_texts
from orchestrator.reporting.formats.plain_data import cell_value
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import visible
from orchestrator.services.pages.base import PageReader, PageWiring
from orchestrator.services.pages.comparing import Comparisons
from orchestrator.services.pages.kept import NOW_S, Kept
from orchestrator.web.access import Access
from orchestrator.web.readings import change, fact, reading

FOLDER = Path(__file__).parent
NAVIGATION = (
    ("/", "Fleet"),
    ("/runs", "Runs"),
    ("/compare", "Compare"),
    ("/regressions", "Regressions"),
    ("/history", "History"),
    ("/changes", "What changed"),
    ("/models", "Models"),
    ("/sql", "SQL"),
)


@dataclass(frozen=True)  # no slots: cached_property needs a dictionary
class Site:
    """Hold the wiring, the rules of access and the templates. `version` names static files, so that browsers may keep
    them for ever.
    """

    wiring: PageWiring
    access: Access
    version: str = __version__

    @cached_property
    def kept(self) -> Kept:
        """Return what has just been read, shared by all readers."""
        return Kept()

    @cached_property
    def comparisons(self) -> Comparisons:
        """Return the comparer of runs, shared by all readers."""
        return Comparisons(self.reader, self.kept)

    @property
    def reader(self) -> PageReader:
        """Return the database opened for reading."""
        return self.wiring.reader

    def runs(self, limit: int, wanted: RunFilter | None = None) -> Sequence[RunSummary]:
        """Return the newest runs first, as they were a moment ago."""
        return self.kept.get(("runs", limit, wanted), NOW_S, lambda: self.wiring.list_runs(limit, wanted))

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page drawn by a template."""
        text = self._environment.get_template(template).render(
            path=request.url.path,
            query=dict(request.query_params),
            link=lambda **changes: linked(request, changes),
            navigation=NAVIGATION,
            site=self,
            form_token=self.access.form_token(),
            status=status,
            # The form for the token is for strangers too: the database's path or host is none of theirs.
            place=self.reader.location if self.access.lets_in(request.headers, request.cookies) else None,
            **values,
        )
        return HTMLResponse(text, status_code=status)

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            # A misspelt name is an error in a test, rather than an empty place on the page.
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # Templates belong to the installation, and change with its version alone.
            auto_reload=False,
            finalize=_visible,
        )
        environment.filters.update(FILTERS)
        return environment


def linked(request: Request, changes: Mapping[str, Any]) -> str:
    """Return the address of the present page with some of its state changed. None leaves a key out."""
    merged: dict[str, Any] = {**request.query_params, **changes}
    kept = {key: value for key, value in merged.items() if value not in (None, "")}
    return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path


def _visible(value: Any) -> Any:
    """Return text with control and format characters made visible: a device's name must not turn a line around."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _quantity(value: float | None, metric: str) -> str:
    return numbers.quantity(value, metric_named(metric).unit)


def _cell(value: Any) -> str:
    """Return a value of a row as text, as CSV has it. Long text is cut off: a plan has many kilobytes."""
    text = "–" if value is None else str(cell_value(value))
    return text if len(text) <= _CELL_CHARACTERS_MAX else f"{text[:_CELL_CHARACTERS_MAX]}…"


_CELL_CHARACTERS_MAX = 300
FILTERS: Mapping[str, Callable[..., Any]] = {
    "utc": numbers.utc,
    "factor": numbers.factor,
    "interval": numbers.interval,
    "percent": lambda share: "–" if share is None else numbers.percent(share),
    "size": numbers.size,
    "duration": numbers.duration,
    "digits": lambda value: "–" if value is None else numbers.digits(value),
    "signed": numbers.signed,
    "quantity": _quantity,
    "cell": _cell,
    "reading": reading,
    "change": change,
    "fact": fact,
    "known": lambda value: "–" if value is None or value == "" else value,
    "settings": lambda settings: " · ".join(setting_texts(sorted(settings.items()))),
}
