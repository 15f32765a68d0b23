"""Offer single cells: every attempt, and how the samples are distributed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.reporting.reports.cell import (
    CELL_SHOWN,
    POWER_CURVES,
    SAMPLES,
    cell_report,
    curves_report,
    samples_report,
)
from orchestrator.reporting.reports.operator_profile import PROFILES, profiles_report
from orchestrator.services.pages.cell import (
    cell_samples,
    known_readings,
    reported,
    require_cell,
    rerun_command,
    sampled_metrics,
)
from orchestrator.services.runs.profile import profile_of
from orchestrator.web.answers import answered
from orchestrator.web.drawing import curves
from orchestrator.web.openapi import shaped
from orchestrator.web.routes.asking import Form, site_of

router = APIRouter()
# The database's ids have 63 bits.
Job = Annotated[int, Path(ge=1, lt=1 << 63)]


@router.get("/cells/{job}", include_in_schema=False)
def cell_page(request: Request, job: Job, metric: str = HEADLINE_METRIC) -> Response:
    """Show a cell of a run."""
    site = site_of(request)
    cell = require_cell(job, site.reader)
    power = site.reader.cells.power_curves(job)
    return site.page(
        request,
        "cell.html.jinja",
        cell=cell,
        metric=metric,
        sampled=sampled_metrics(cell),
        samples=cell_samples(job, metric, site.reader),
        names=list(dict.fromkeys(name for one in cell.attempts for name in one.metrics)),
        conditions=known_readings(cell.attempts),
        runtime=reported(cell.attempts),
        power=power,
        power_drawing=curves([(one.seconds, one.watts) for one in power]),
        profile=profile_of(cell, site.reader.cells),
        command=rerun_command(cell),
    )


@router.get("/api/v1/cells/{job}", **shaped("cell", CELL_SHOWN))
def cell(request: Request, job: Job, form: Form = "json") -> Response:
    """Return a cell of a run in full. The run's page and `glance` name the cells."""
    return answered(cell_report(require_cell(job, site_of(request).reader)), form, f"cell-{job}")


@router.get("/api/v1/cells/{job}/samples", **shaped("samples", SAMPLES))
def samples(request: Request, job: Job, metric: str = HEADLINE_METRIC, form: Form = "json") -> Response:
    """Return how the samples of a cell's counted trials are distributed."""
    return answered(samples_report(cell_samples(job, metric, site_of(request).reader)), form, f"samples-{job}")


@router.get("/api/v1/cells/{job}/profile", **shaped("profiles", PROFILES))
def profile(request: Request, job: Job, form: Form = "json") -> Response:
    """Return the operator profile of a cell, or the reason why there is none."""
    reader = site_of(request).reader
    found = [profile_of(require_cell(job, reader), reader.cells)]
    return answered(profiles_report(found, len(found[0].operators)), form, f"profile-{job}")


@router.get("/api/v1/cells/{job}/power", **shaped("power", POWER_CURVES))
def power(request: Request, job: Job, form: Form = "json") -> Response:
    """Return the readings of power over a cell's counted trials; none without a source."""
    reader = site_of(request).reader
    require_cell(job, reader)
    return answered(curves_report(reader.cells.power_curves(job)), form, f"power-{job}")
