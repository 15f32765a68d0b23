"""Write a board as Grafana's classic JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from dashboards.boards.elements import Board, Events, Kind, Panel, Variable
from orchestrator.store.schema import tables
from orchestrator.store.schema.views import VIEWS

DATASOURCE_TYPE = "grafana-postgresql-datasource"
UID_PREFIX = "benchfleet-"
TAG = "benchfleet"
NO_VALUE = "no value"

_DATASOURCE = {"type": DATASOURCE_TYPE, "uid": "${datasource}"}
_SCHEMA_VERSION = 39  # of Grafana 11; newer releases read it too
_COLUMNS = 24
_HEIGHTS = {Kind.STAT: 4}
_USUAL_HEIGHT = 9
_RELATIONS = {view.name for view in VIEWS} | set(tables.metadata.tables)
_ON_LOAD = 1
_MANY_CHOICES = {"text": ["All"], "value": ["$__all"]}


def document(board: Board) -> dict[str, Any]:
    """Return the JSON of a board."""
    return {
        "uid": UID_PREFIX + board.name,
        "title": f"benchfleet: {board.title}",
        "description": board.about,
        "tags": [TAG],
        "schemaVersion": _SCHEMA_VERSION,
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-90d", "to": "now"},
        "templating": {"list": [_choice_of_datasource(), *(_variable(each) for each in board.variables)]},
        "annotations": {"list": [_events(each) for each in board.events]},
        "links": [_link("Boards", type="dashboards", tags=[TAG], asDropdown=True)],
        "panels": list(_panels(board.panels)),
    }


def relations(sql: str) -> list[str]:
    """Return the views and tables that a statement reads."""
    return sorted(_RELATIONS & set(re.findall(r"\b(?:FROM|JOIN) (\w+)", sql)))


def _panels(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    x = y = row_height = 0
    for number, panel in enumerate(panels, 1):
        height = _HEIGHTS.get(panel.kind, _USUAL_HEIGHT)
        if x + panel.width > _COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        yield _panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": panel.width, "h": height}}
        x, row_height = x + panel.width, max(row_height, height)


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    reads = f"Reads {', '.join(relations(panel.sql))}."
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": NO_VALUE, "custom": _look(panel)}
    if panel.kind is Kind.TABLE and re.search(r"\brun\b[,\n]", panel.sql.partition("\nFROM")[0] + "\n"):
        url = f"/d/{UID_PREFIX}run?var-run=${{__data.fields.run}}"
        defaults["links"] = [_link("The run", type="link", url=url, includeVars=False)]
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.full_title,
        "description": f"{panel.note} {reads}".strip(),
        "datasource": _DATASOURCE,
        "targets": [_target(panel.sql, "time_series" if panel.kind is Kind.TIME else "table")],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
    }


def _look(panel: Panel) -> dict[str, Any]:
    if panel.kind is not Kind.TIME:
        return {}
    # A point without a value is a gap, and a point between two gaps is seen.
    drawn = {"drawStyle": "bars", "fillOpacity": 60} if panel.bars else {"drawStyle": "line", "showPoints": "always"}
    stacking = {"mode": "normal", "group": "A"} if panel.bars else {"mode": "none", "group": "A"}
    return {**drawn, "lineWidth": 1, "pointSize": 4, "spanNulls": False, "stacking": stacking}


def _options(kind: Kind) -> dict[str, Any]:
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    tooltip = {"mode": "multi", "sort": "desc"}
    if kind is Kind.TIME:
        return {"legend": legend, "tooltip": tooltip}
    if kind is Kind.STAT:
        # `last`, not `lastNotNull`: a missing number is not an older one.
        return {"reduceOptions": {"calcs": ["last"], "fields": "", "values": False}, "graphMode": "none"}
    if kind is Kind.BARS:
        hidden = {**legend, "showLegend": False}
        return {"xField": "cell", "orientation": "horizontal", "legend": hidden, "tooltip": tooltip}
    if kind is Kind.SCATTER:
        axes = {axis: {"matcher": {"id": "byName", "options": name}} for axis, name in _SCATTER.items()}
        frame = {"matcher": {"id": "byIndex", "options": 0}}
        return {"mapping": "manual", "series": [{"frame": frame, **axes}], "legend": legend, "tooltip": tooltip}
    return {"showHeader": True}


_SCATTER = {"x": "latency_ms", "y": "accuracy"}


def _target(sql: str, form: str) -> dict[str, Any]:
    return {
        "refId": "A",
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "format": form,
        "rawQuery": True,
        "rawSql": sql,
    }


def _choice_of_datasource() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Database",
        "query": DATASOURCE_TYPE,
        "refresh": _ON_LOAD,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    choice = {"current": _MANY_CHOICES} if variable.several else {}
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.name.capitalize(),
        "datasource": _DATASOURCE,
        "query": variable.sql,
        "refresh": _ON_LOAD,
        "multi": variable.several,
        "includeAll": variable.several,
        **choice,
    }


def _events(events: Events) -> dict[str, Any]:
    return {
        "name": events.name,
        "enable": True,
        "iconColor": events.colour,
        "datasource": _DATASOURCE,
        "target": _target(events.sql, "table"),
    }


def _link(title: str, **rest: Any) -> dict[str, Any]:
    return {
        "title": title,
        "icon": "external link",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
        **rest,
    }
