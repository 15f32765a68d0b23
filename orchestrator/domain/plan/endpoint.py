"""Write the served model of a job for the plan, and read it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.domain.runtime import Endpoint, HttpTemplate


def write_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return the keys of a served model."""
    document: dict[str, Any] = {"model": endpoint.model, "ready_s_max": float(endpoint.ready_s_max)}
    further = {"url": endpoint.url, "version": endpoint.version, "signature": endpoint.signature}
    document |= {key: value for key, value in further.items() if value is not None}
    if endpoint.template is not None:
        document["template"] = write_template(endpoint.template)
    return document


def write_template(template: HttpTemplate) -> dict[str, Any]:
    """Return the keys of a template, which plans and sweeps share."""
    return asdict(template) | {"outputs": dict(template.outputs)}


def read_endpoint(job: Mapping[str, Any]) -> Endpoint | None:
    """Return the served model of a job, or None."""
    if "endpoint" not in job:
        return None
    said = dict(job["endpoint"])
    template = said.pop("template", None)
    if template is not None:
        said["template"] = HttpTemplate(**template | {"outputs": tuple(template["outputs"].items())})
    return Endpoint(protocol=job["engine"], **said)
