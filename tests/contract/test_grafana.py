"""Grafana's boards: every panel, variable and event is answered by a real PostgreSQL, by a user that cannot write."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from dashboards.answers import fill_lab
from dashboards.boards.elements import Unit
from dashboards.boards.files import BOARDS, FOLDER, ROLE
from orchestrator.services.demo.nights import LAST_NIGHT
from tests.databases import PostgresDatabases
from tests.grafana import choices, expanded, sqlstring, statements

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

GRAFANA = Path(__file__).resolve().parents[2] / FOLDER
DOCUMENTS = {board.name: json.loads((GRAFANA / f"{board.name}.json").read_text(encoding="utf-8")) for board in BOARDS}
PANELS = [
    pytest.param(name, number, id=f"{name}: {panel['title']}")
    for name, board in DOCUMENTS.items()
    for number, panel in enumerate(board["panels"])
]
Connection = psycopg.Connection[Any]
YEAR = (LAST_NIGHT.replace(year=LAST_NIGHT.year - 1), LAST_NIGHT.replace(month=12))
HOSTILE = [
    "O'Brien's",
    "'); DROP TABLE device; --",
    "\\'; DELETE FROM run; --",
    '"',
    "%s %(x)s :x",
    "${device}",
    "{}",
    "",
]

NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
COLUMNS: Mapping[str, Unit] = {
    r"\w+_ns": Unit.NANOSECONDS,
    r"\w+_ms": Unit.MILLISECONDS,
    r"\w+_s": Unit.SECONDS,
    r"minutes_\w+": Unit.MINUTES,
    r"device_hours(_per_night)?": Unit.HOURS,
    r"\w+_bytes": Unit.BYTES,
    r"\w+_mb": Unit.MEGABYTES,
    r"\w+_w": Unit.WATTS,
    r"\w+_mj": Unit.MILLIJOULES,
    r"\w+_hz": Unit.HERTZ,
    r"\w+_mhz": Unit.MEGAHERTZ,
    r"\w+_c": Unit.CELSIUS,
    r"\w+_percent": Unit.PERCENT,
    r"accuracy|accuracy_lost|noise|\w+_share|share_of_\w+": Unit.SHARE,
    r"ratio|ratio_(low|high|to_base)|times|worst|p99_over_p50": Unit.RATIO,
    r"load_1m": Unit.LOAD,
    r"cosine|max_abs": Unit.NUMBER,
    r"attempts|cells|devices|nights|regressions|runs|trials(_\w+)?": Unit.COUNT,
}
"""Columns of numbers: the name tells the unit."""

SENSORS = """
UPDATE attempt SET conditions_after = conditions_after || jsonb_build_object(
    'cpu_pressure_percent', 2.5, 'cpu_steal_percent', 0.5, 'other_load_percent', 1.5, 'memory_available_bytes', 5e8,
    'temperatures_c', jsonb_build_object('cpu-thermal', 51.5, 'nvme Composite', 40)
) WHERE conditions_after IS NOT NULL AND id % 3 = 0"""
"""Readings that the made-up lab does not have."""

AGREEMENTS = """
INSERT INTO cell_value (job_id, kind, metric, unit, trials, value, value_min, value_max)
SELECT job_id, kind, 'agreement_' || one.name, '1', trials, one.value, one.value, one.value
FROM cell_value
CROSS JOIN (
    VALUES ('argmax', 0.99), ('within_tolerance', 0.9), ('cosine', 0.999), ('max_abs', 0.02)
) AS one (name, value)
WHERE metric = 'accuracy_top1'"""
"""Figures of agreement, since the made-up lab keeps no outputs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold names, PostgreSQL's types and rows of a result."""

    types: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]

    def numbers(self) -> list[str]:
        return [name for name, kind in self.types.items() if kind in NUMBERS]


@pytest.fixture(scope="module")
def owner(postgres_databases: PostgresDatabases) -> Iterator[Connection]:
    """The made-up lab, as its owner."""
    url = postgres_databases.migrated()
    fill_lab(url)
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(SENSORS)
        connection.execute(AGREEMENTS)
        connection.commit()
        yield connection


@pytest.fixture(scope="module")
def reader(owner: Connection, postgres_databases: PostgresDatabases) -> Iterator[Connection]:
    """The same, as the user of the README whom the provisioned datasource names, by its environment."""
    secret = postgres_databases.server.password
    readme = (GRAFANA / "README.md").read_text(encoding="utf-8")
    (making_the_user,) = re.findall(r"```sql\n(.*?)```", readme, re.DOTALL)
    owner.execute(making_the_user)
    owner.execute(f"ALTER ROLE {ROLE} PASSWORD {sqlstring([secret])}".encode())
    owner.commit()
    with psycopg.connect(provisioned(owner, secret), autocommit=True) as connection:
        yield connection
    owner.execute(f"DROP OWNED BY {ROLE}".encode())
    owner.execute(f"DROP ROLE {ROLE}".encode())
    owner.commit()


def provisioned(lab: Connection, password: str) -> str:
    """Return where the provisioned datasource leads, with the variables of the README's third step."""
    environment = {
        "LAB_DB_HOST": f"{lab.info.host}:{lab.info.port}",
        "LAB_DB_NAME": lab.info.dbname,
        "LAB_DB_SSLMODE": "disable",
        "LAB_DB_PASSWORD": password,
    }
    file = GRAFANA / "provisioning" / "datasources" / "benchfleet.yaml"
    (source,) = yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]

    def value(text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: environment[found[1]], text)

    host, _, port = value(source["url"]).partition(":")
    return make_conninfo(
        host=host,
        port=port,
        user=value(source["user"]),
        password=value(source["secureJsonData"]["password"]),
        dbname=value(source["jsonData"]["database"]),
        sslmode=value(source["jsonData"]["sslmode"]),
    )


def ask(connection: Connection, sql: str) -> Answer:
    """Return the answer to SQL that is sent as it is: a second statement in it would be executed too."""
    found = connection.execute(sql.encode())
    types = {each.name: each.type_display.partition("(")[0] for each in found.description or ()}
    return Answer(types, [dict(zip(types, row, strict=True)) for row in found])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_variable_offers_something_in_order(reader: Connection, name: str) -> None:
    board = DOCUMENTS[name]
    chosen = choices(board, reader, YEAR)
    assert chosen
    for variable in board["templating"]["list"]:
        if offered := chosen.get(variable["name"]):
            assert all(offered), variable["name"]
            assert len(set(offered)) == len(offered)
            assert offered == sorted(offered)
        else:
            assert variable["type"] == "datasource", variable["name"]


@pytest.mark.parametrize(("name", "number"), PANELS)
def test_each_panel_has_rows_with_numbers_of_its_unit(reader: Connection, name: str, number: int) -> None:
    board = DOCUMENTS[name]
    panel = board["panels"][number]
    sql = panel["targets"][0]["rawSql"]
    answers = [ask(reader, expanded(sql, chosen, YEAR)) for chosen in single_choices(board, reader)]
    found = [answer for answer in answers if answer.rows]
    assert found
    for answer in found:
        assert set(answer.types.values()) <= NUMBERS | {"text", "varchar", "bool", "timestamptz", "date"}
        if panel["type"] == "timeseries":
            is_a_series(answer)
        if panel["type"] == "stat":
            assert len(answer.rows) == len(answer.types) == 1
        if panel["type"] == "barchart":
            assert len({row["cell"] for row in answer.rows}) == len(answer.rows)
    for column in found[0].numbers():
        assert any(row[column] is not None for answer in found for row in answer.rows), column
    units = {unit_of(column) for column in found[0].numbers()}
    assert said(panel) == written(units)
    is_linked = "links" in panel["fieldConfig"]["defaults"]
    assert is_linked == (panel["type"] == "table" and "run" in found[0].types)
    assert panel["fieldConfig"]["defaults"]["unit"] == (next(iter(units)).grafana if len(units) == 1 else "none")


@pytest.mark.parametrize("name", [name for name, board in DOCUMENTS.items() if board["annotations"]["list"]])
def test_each_event_has_moments_in_order_and_text(reader: Connection, name: str) -> None:
    board = DOCUMENTS[name]
    chosen = choices(board, reader, YEAR)
    for events in board["annotations"]["list"]:
        answer = ask(reader, expanded(events["target"]["rawSql"], chosen, YEAR))
        assert answer.rows
        assert answer.types["time"] == answer.types.get("timeend", "timestamptz") == "timestamptz"
        assert all(row["text"] and row["time"] <= row.get("timeend", row["time"]) for row in answer.rows)
        assert all(earlier["time"] <= later["time"] for earlier, later in pairwise(answer.rows))


def single_choices(board: Mapping[str, Any], connection: Connection) -> Iterator[Mapping[str, Sequence[str]]]:
    """Yield what a reader may choose of the variable that takes one value, everything of the others being chosen."""
    single = next((each for each in board["templating"]["list"] if not each.get("multi", True)), None)
    if single is None:
        yield choices(board, connection, YEAR)
    elif single["name"] == "run":
        yield {"run": [run_with_everything(connection)]}
    else:
        for value in ask(connection, single["query"]).rows:
            yield choices(board, connection, YEAR, {single["name"]: [str(next(iter(value.values())))]})


def test_the_run_that_is_shown_first_is_the_newest(reader: Connection) -> None:
    newest = ask(reader, "SELECT id FROM run WHERE started_at = (SELECT max(started_at) FROM run)").rows
    assert choices(DOCUMENTS["run"], reader, YEAR)["run"] == [newest[0]["id"]]


def said(panel: Mapping[str, Any]) -> set[str]:
    """Return the units in the title of a panel."""
    found = re.search(r" \(([^()]+)\)$", panel["title"])
    return set(found[1].split(", ")) if found else set()


def unit_of(column: str) -> Unit:
    (unit,) = (unit for pattern, unit in COLUMNS.items() if re.fullmatch(pattern, column))
    return unit


def written(units: set[Unit]) -> set[str]:
    return {unit.word if len(units) == 1 else unit.plain_word for unit in units}


def run_with_everything(connection: Connection) -> str:
    """Return the newest run in which something is missing, and something is invalid."""
    newest = "SELECT run FROM v_missing WHERE run IN (SELECT run FROM v_invalid) ORDER BY run DESC LIMIT 1"
    return str(ask(connection, newest).rows[0]["run"])


def is_a_series(answer: Answer) -> None:
    """Assert what Grafana demands of a time series: moments that ascend, perhaps names of lines, and numbers."""
    assert answer.types["time"] == "timestamptz"
    assert set(answer.types) - {"time", "metric"} == set(answer.numbers())
    assert len(answer.numbers()) == 1
    moments = [row["time"] for row in answer.rows]
    assert all(isinstance(moment, datetime) for moment in moments)
    assert all(earlier <= later for earlier, later in pairwise(moments))
    assert all(row.get("metric", "-") for row in answer.rows)
    points = {(row["time"], row.get("metric")) for row in answer.rows}
    assert len(points) == len(answer.rows)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_hostile_choices_are_text_that_nothing_is_called(reader: Connection, name: str) -> None:
    board = DOCUMENTS[name]
    names = [each["name"] for each in board["templating"]["list"][1:]]
    for sql in [*(sql for _title, sql in statements(board)), *queries(board)]:
        answers = [
            ask(reader, expanded(sql, dict.fromkeys(names, values), YEAR)).rows
            for values in (["nobody"], HOSTILE, *([value] for value in HOSTILE))
        ]
        assert all(answer == answers[0] for answer in answers), sql


@pytest.mark.parametrize("name", [name for name, board in DOCUMENTS.items() if "${device" in json.dumps(board)])
def test_a_device_of_a_hostile_name_is_found(owner: Connection, name: str) -> None:
    board, old, new = DOCUMENTS[name], "demo-jetson-01", " ".join(HOSTILE)
    owner.execute("UPDATE device SET name = %s WHERE name = %s", (new, old))
    renamed = counts(board, owner, new)
    owner.rollback()
    assert renamed == counts(board, owner, old)
    assert any(renamed.values())


def counts(board: Mapping[str, Any], connection: Connection, device: str) -> Mapping[str, int]:
    """Return the number of rows of everything that the choice of a device limits."""
    found = {}
    for chosen in single_choices(board, connection):
        for title, sql in statements(board):
            if "${device" in sql:
                answer = ask(connection, expanded(sql, {**chosen, "device": [device]}, YEAR))
                found[f"{title}{chosen.get('model')}"] = len(answer.rows)
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_empty_database_is_no_error_and_no_zero_share(postgres_databases: PostgresDatabases, name: str) -> None:
    board = DOCUMENTS[name]
    with psycopg.connect(postgres_databases.migrated().replace("+psycopg", "")) as connection:
        chosen = choices(board, connection, YEAR)
        assert all(values in ([], [""]) for values in chosen.values())
        for title, sql in statements(board):
            rows = ask(connection, expanded(sql, chosen, YEAR)).rows
            assert [value for row in rows for value in row.values() if value] == [], title
            assert "share" not in sql or not any(0 in row.values() for row in rows), title


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM annotation", "UPDATE device SET name = 'x'", "DROP VIEW v_cell", "CREATE TABLE t (x int)"],
)
def test_the_user_of_the_boards_cannot_write(reader: Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute(statement.encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):  # after a way out that is open to everybody
        reader.execute(b"BEGIN READ WRITE; " + statement.encode())
    reader.rollback()


def queries(board: Mapping[str, Any]) -> list[str]:
    return [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]


def test_values_are_quoted_as_grafana_does() -> None:
    """The example is that of Grafana's documentation of `sqlstring`."""
    assert sqlstring(["test'1", "test2"]) == "'test''1','test2'"


@pytest.mark.parametrize(
    "sql", ["SELECT $device", "SELECT ${device}", "$__timeGroup(at, '1h')", "$__timeFilter(f(at))"]
)
def test_what_is_not_expanded_here_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="more than"):
        expanded(sql, {"device": ["x"]}, YEAR)
