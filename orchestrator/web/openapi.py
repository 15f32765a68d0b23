"""Describe the JSON interface by the declared shapes of the command: docs/json.md and OpenAPI say the same."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from orchestrator.reporting.shape import DEFINITIONS, Shape, all_views

_SHAPES: dict[str, Shape[Any]] = {}
_COMPONENTS = "#/components/schemas/"


def shaped(name: str, shape: Shape[Any]) -> dict[str, Any]:
    """Return the arguments of a route that answers with a shape. `name` is the operation's id."""
    _SHAPES[name] = shape
    content = {"application/json": {"schema": _moved(shape.json.schema())}, "text/csv": {}, "text/markdown": {}}
    errors = {404: {"description": "There is none of that name."}, 422: {"description": "A value makes no sense."}}
    return {
        "operation_id": name,
        "response_model": None,
        "responses": {200: {"description": "As docs/json.md says.", "content": content}, **errors},
    }


def described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document with the definition of every shape."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        views = all_views(shape.json for shape in _SHAPES.values())
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update({name: _moved(view.definition()) for name, view in views.items()})
        # Kept: the document has every shape of every route, and changes with the release alone.
        app.openapi_schema = document
    return app.openapi_schema


def _moved(schema: Any) -> Any:
    """Return a schema with references to where OpenAPI keeps definitions."""
    if isinstance(schema, dict):
        return {key: _moved(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_moved(value) for value in schema]
    if isinstance(schema, str) and schema.startswith(DEFINITIONS):
        return _COMPONENTS + schema.removeprefix(DEFINITIONS)
    return schema
