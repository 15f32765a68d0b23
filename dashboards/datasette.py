"""Draw dashboards/datasette.json: the questions as saved queries of Datasette, for an SQLite file."""

from __future__ import annotations

import json

from dashboards.questions import questions

DATABASES = ("benchfleet", "demo")
"""The names of the files without `.db` that get the queries: the default of a lab, and that of the cookbook."""


def datasette_metadata() -> str:
    """Return the metadata file."""
    saved = {
        question.name: {"title": question.title, "description": question.notes, "sql": question.sql}
        for question in questions()
    }
    document = {
        "title": "benchfleet",
        "description": "Saved questions of docs/sql-cookbook.md. docs/schema.md explains views and tables.",
        "databases": {name: {"queries": saved} for name in DATABASES},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
