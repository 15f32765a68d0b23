"""Grafana's boards: the files are those that the generator writes, and Grafana's own models know all in them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.document import DATASOURCE_TYPE, NO_VALUE, TAG, document, relations
from dashboards.boards.elements import Unit
from dashboards.boards.files import BOARDS, FOLDER, files

REPOSITORY = Path(__file__).resolve().parents[2]
REDRAW = "python -m dashboards"
DOCUMENTS = [pytest.param(json.loads(files()[f"{FOLDER}/{board.name}.json"]), id=board.name) for board in BOARDS]
SCHEMA = os.environ.get("BENCHFLEET_GRAFANA_SCHEMA")


def losses(written: Any, kept: Any, place: str = "") -> Iterator[str]:
    """Yield where a value that was written is gone. Further keys are defaults of the models.

    The models know an event's target of Grafana's own datasource alone, and say so.
    """
    if isinstance(written, dict):
        for key, value in written.items():
            if key == "target":
                continue
            if not isinstance(kept, dict) or key not in kept:
                yield f"{place}.{key}"
            else:
                yield from losses(value, kept[key], f"{place}.{key}")
    elif isinstance(written, list):
        if not isinstance(kept, list) or len(written) != len(kept):
            yield place
        else:
            for number, (value, other) in enumerate(zip(written, kept, strict=True)):
                yield from losses(value, other, f"{place}[{number}]")
    elif written != kept:
        yield place


def through_models(board: dict[str, Any]) -> Any:
    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))


def test_the_files_are_what_the_generator_writes() -> None:
    folder = REPOSITORY / FOLDER
    present = {
        str(file.relative_to(REPOSITORY)): file.read_text(encoding="utf-8")
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert present == files(), REDRAW


@pytest.mark.parametrize("board", DOCUMENTS)
def test_the_models_of_grafana_know_every_key(board: dict[str, Any]) -> None:
    assert list(losses(board, through_models(board))) == []


@pytest.mark.parametrize("key", ["unitt", "links"])
def test_a_key_that_grafana_does_not_know_is_noticed(key: str) -> None:
    board = document(BOARDS[0])
    board["panels"][0]["fieldConfig"][key] = "ns"
    assert list(losses(board, through_models(board))) == [f".panels[0].fieldConfig.{key}"]


@pytest.mark.skipif(not SCHEMA, reason="BENCHFLEET_GRAFANA_SCHEMA does not name the JSON schema of a dashboard")
@pytest.mark.parametrize("board", DOCUMENTS)
def test_the_boards_fit_grafanas_schema(board: dict[str, Any]) -> None:
    schema = json.loads(Path(str(SCHEMA)).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(board)] == []


@pytest.mark.parametrize("board", DOCUMENTS)
def test_each_panel_says_its_unit_and_what_it_reads(board: dict[str, Any]) -> None:
    known = {value for value in vars(units).values() if isinstance(value, str)}
    words = {word for unit in Unit for word in (unit.word, unit.plain_word)}
    for panel in board["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in known or defaults["unit"].startswith("si:"), panel["title"]
        assert defaults["noValue"] == NO_VALUE
        if is_numeric(panel):
            said = panel["title"].rpartition(" (")[2].removesuffix(")").split(", ")
            assert set(said) <= words, panel["title"]
        read = relations(panel["targets"][0]["rawSql"])
        assert read
        assert panel["description"].endswith(f"Reads {', '.join(read)}."), panel["title"]


def is_numeric(panel: dict[str, Any]) -> bool:
    """Say whether a panel draws numbers. Its numbers themselves are a matter of the database's test."""
    return panel["type"] != "table" or "(" in panel["title"]


@pytest.mark.parametrize("board", DOCUMENTS)
def test_each_panel_asks_the_database_of_the_readers_choice(board: dict[str, Any]) -> None:
    choice = {"type": DATASOURCE_TYPE, "uid": "${datasource}"}
    asking = [
        *board["panels"],
        *(target for panel in board["panels"] for target in panel["targets"]),
        *(variable for variable in board["templating"]["list"] if variable["type"] == "query"),
        *board["annotations"]["list"],
    ]
    assert [each["datasource"] for each in asking] == [choice] * len(asking)
    assert board["templating"]["list"][0]["name"] == "datasource"


@pytest.mark.parametrize("board", DOCUMENTS)
def test_the_boards_name_nothing_of_the_made_up_lab(board: dict[str, Any]) -> None:
    assert all(name not in json.dumps(board) for name in ("demo-", "'keywords'", "'digits'"))


@pytest.mark.parametrize("board", DOCUMENTS)
def test_no_panel_covers_another(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert max(x for x, _y in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_the_boards_find_each_other() -> None:
    boards = [document(board) for board in BOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) == 6
    assert all(TAG in board["tags"] and board["links"][0]["tags"] == [TAG] for board in boards)
    linked = {link["url"].partition("?")[0] for board in boards for panel in board["panels"] for link in links(panel)}
    assert linked == {"/d/benchfleet-run"}
    assert "benchfleet-run" in {board["uid"] for board in boards}


def links(panel: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = panel["fieldConfig"]["defaults"].get("links", [])
    return found


def test_the_datasource_has_no_password_but_a_variable() -> None:
    (source,) = yaml.safe_load(files()[f"{FOLDER}/provisioning/datasources/benchfleet.yaml"])["datasources"]
    assert source["type"] == DATASOURCE_TYPE
    assert source["secureJsonData"] == {"password": "$LAB_DB_PASSWORD"}
    readme = files()[f"{FOLDER}/README.md"]
    values = (source["url"], *source["jsonData"].values(), *source["secureJsonData"].values())
    assert all(f"   {value.removeprefix('$')}=" in readme for value in values)
    (provider,) = yaml.safe_load(files()[f"{FOLDER}/provisioning/dashboards/benchfleet.yaml"])["providers"]
    assert f"-t {provider['options']['path']} *.json" in readme
