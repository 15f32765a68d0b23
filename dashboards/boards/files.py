"""Name and write all files of `dashboards/grafana`: boards, provisioning, and the page that says how."""

from __future__ import annotations

import json

import yaml

from dashboards.boards.conditions import CONDITIONS
from dashboards.boards.document import DATASOURCE_TYPE, document, relations
from dashboards.boards.energy import ENERGY
from dashboards.boards.fleet import FLEET
from dashboards.boards.history import HISTORY
from dashboards.boards.run import RUN_BOARD
from dashboards.boards.variants import VARIANTS

FOLDER = "dashboards/grafana"
BOARDS = (FLEET, RUN_BOARD, VARIANTS, HISTORY, ENERGY, CONDITIONS)
ROLE = "benchfleet_grafana"
_GENERATED = "# Written by `python -m dashboards`.\n"

_DATASOURCES = {
    "apiVersion": 1,
    "datasources": [
        {
            "name": "benchfleet",
            "uid": "benchfleet",
            "type": DATASOURCE_TYPE,
            "access": "proxy",
            "editable": False,
            "url": "$LAB_DB_HOST",
            "user": ROLE,
            "jsonData": {"database": "$LAB_DB_NAME", "sslmode": "$LAB_DB_SSLMODE"},
            "secureJsonData": {"password": "$LAB_DB_PASSWORD"},
        }
    ],
}
"""Variables stand without braces: Grafana expands a password with a dollar sign once only then."""

_PROVIDERS = {
    "apiVersion": 1,
    "providers": [
        {
            "name": "benchfleet",
            "folder": "benchfleet",
            "type": "file",
            "allowUiUpdates": False,
            "options": {"path": "/var/lib/grafana/dashboards/benchfleet"},
        }
    ],
}

_README = f"""\
# Grafana boards

`python -m dashboards` writes this folder; `dashboards/boards` has the sources. The boards read a lab's PostgreSQL, on
Grafana 11 or newer.

1. Make a user that reads and cannot write, as PostgreSQL's superuser in `psql`, and give it a password there by
   `\\password {ROLE}`:

   ```sql
   CREATE ROLE {ROLE} LOGIN;
   GRANT pg_read_all_data TO {ROLE};
   ALTER ROLE {ROLE} SET default_transaction_read_only = on;
   ALTER ROLE {ROLE} SET statement_timeout = '60s';
   ```

2. Copy the files to Grafana's machine, from here:

   ```sh
   install -D -m 644 -t /var/lib/grafana/dashboards/benchfleet *.json
   cp -r provisioning/. /etc/grafana/provisioning/
   ```

3. Say where the database is, in Grafana's environment (`/etc/default/grafana-server` with the packages of Debian), and
   restart Grafana. The file with the password is for root alone.

   ```sh
   LAB_DB_HOST=db.lab.example:5432
   LAB_DB_NAME=benchfleet
   LAB_DB_SSLMODE=verify-full
   LAB_DB_PASSWORD=...
   ```

`pg_read_all_data` is every table of every database on that server that the user may connect to. Every viewer of a board
may send SQL of their own through Grafana, as that user. What a reader chooses, or a link says, reaches the SQL of a
board quoted (`${{device:sqlstring}}`).

A number that is missing is shown as "no value", or is a gap in a line. A table with several units has plain numbers:
title and names of columns say the units. Without a lab, `benchfleet db demo --db postgresql://...` makes one up: choose
a time range within its year.

"""


def files() -> dict[str, str]:
    """Return the text of each file, by its path in the repository."""
    boards = {
        f"{FOLDER}/{board.name}.json": json.dumps(document(board), indent=1, ensure_ascii=False) + "\n"
        for board in BOARDS
    }
    return {
        **boards,
        f"{FOLDER}/provisioning/datasources/benchfleet.yaml": _yaml(_DATASOURCES),
        f"{FOLDER}/provisioning/dashboards/benchfleet.yaml": _yaml(_PROVIDERS),
        f"{FOLDER}/README.md": _README + _table(),
    }


def _yaml(content: object) -> str:
    return _GENERATED + yaml.safe_dump(content, sort_keys=False)


def _table() -> str:
    lines = ["| board | what it shows | views that it reads |", "|---|---|---|"]
    for board in BOARDS:
        read = sorted({name for panel in board.panels for name in relations(panel.sql) if name.startswith("v_")})
        lines.append(
            f"| [{board.title}]({board.name}.json) | {board.about} | {', '.join(f'`{name}`' for name in read)} |"
        )
    return "\n".join(lines) + "\n"
