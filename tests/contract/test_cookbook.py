"""The SQL cookbook: every question runs on both databases, and its answer on the page is theirs."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.answers import Answer, answer, fill_lab
from dashboards.cookbook import page, table
from dashboards.datasette import DATABASES, datasette_metadata
from dashboards.questions import Question, questions
from orchestrator.store.console.readonly import open_console
from orchestrator.store.schema.views import VIEWS
from orchestrator.store.store import Store, open_store
from tests.databases import Databases, SqliteDatabases
from tests.servers.ports import free_port
from tests.servers.processes import dies_with_us, wait_until

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

REPOSITORY = Path(__file__).resolve().parents[2]
REDRAW = "python -m dashboards"
QUESTIONS = questions()


@pytest.fixture(scope="module")
def file_lab(sqlite_databases: SqliteDatabases) -> str:
    """Return the URL of the made-up lab of the page, in a file."""
    url = sqlite_databases.migrated()
    fill_lab(url)
    return url


@pytest.fixture(scope="module")
def lab(databases: Databases, request: pytest.FixtureRequest) -> str:
    """Return the URL of the made-up lab of the page, in a database of each kind."""
    if databases.kind == "sqlite":
        return str(request.getfixturevalue("file_lab"))
    url = databases.migrated()
    fill_lab(url)
    return url


def test_there_are_questions_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(QUESTIONS) >= 25
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    assert all(question.title.endswith("?") and question.sql for question in QUESTIONS)


def test_the_views_for_people_answer_questions() -> None:
    asked = {name for question in QUESTIONS for name in re.findall(r"\bv_\w+", question.sql)}
    assert asked <= {view.name for view in VIEWS}
    assert asked >= {
        "v_open_regressions",
        "v_noise",
        "v_missing",
        "v_invalid",
        "v_environment_change",
        "v_pareto",
        "v_attempt",
    }


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_every_question_is_understood_by_an_empty_database(store: Store, question: Question) -> None:
    assert answer(store, question).columns


@pytest.mark.timeout(400)
@pytest.mark.system
def test_the_page_has_the_answers_of_each_database(lab: str) -> None:
    with open_store(lab) as store:
        assert page(store) == (REPOSITORY / "docs" / "sql-cookbook.md").read_text(encoding="utf-8"), REDRAW


@pytest.mark.timeout(400)
@pytest.mark.system
def test_every_question_has_an_answer_in_the_console_too(lab: str) -> None:
    console = open_console(lab, own=True)
    for question in QUESTIONS:
        _columns, rows = console.query(question.sql)
        assert list(rows), question.name
    console.close()


def test_an_answer_is_a_table_with_a_dash_for_what_is_missing() -> None:
    rows = tuple((str(number), None, "a|b") for number in range(10))
    lines = list(table(Answer(("n", "missing", "text"), rows)))
    assert lines[:3] == ["| n | missing | text |", "|---|---|---|", "| 0 | – | a\\|b |"]
    assert lines[-1] == "\n2 further rows."


def test_datasettes_metadata_is_current() -> None:
    drawn = (REPOSITORY / "dashboards" / "datasette.json").read_text(encoding="utf-8")
    assert drawn == datasette_metadata(), REDRAW


@pytest.fixture
def datasette(tmp_path: Path, file_lab: str) -> Iterator[tuple[str, str]]:
    """Serve the made-up lab by a real Datasette; give its address and the database's URL."""
    file = tmp_path / "demo.db"
    shutil.copyfile(file_lab.removeprefix("sqlite:///"), file)
    port = free_port()
    metadata = REPOSITORY / "dashboards" / "datasette.json"
    command = [sys.executable, "-m", "datasette", "serve", str(file), "--metadata", str(metadata), "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    log = tmp_path / "datasette.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(dies_with_us(command, signal.SIGTERM), stdout=stream, stderr=stream)

    def serves() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return bool(_read(f"{address}/-/versions.json"))
        except OSError:
            return False

    try:
        wait_until(serves, "Datasette answers", timeout_s=90)
        yield address, str(file)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.timeout(400)
@pytest.mark.system
def test_a_real_datasette_answers_every_saved_query(datasette: tuple[str, str]) -> None:
    address, url = datasette
    known = _read(f"{address}/demo.json")
    assert {query["name"] for query in known["queries"]} == {question.name for question in QUESTIONS}
    assert "demo" in DATABASES
    console = open_console(url, own=True)
    for question in QUESTIONS:
        found = _read(f"{address}/demo/{urllib.parse.quote(question.name)}.json?_shape=arrays&_size=max")
        columns, rows = console.query(question.sql)
        assert found["columns"] == list(columns), question.name
        assert found["rows"] == [list(row) for row in rows][: len(found["rows"])], question.name
        assert found["rows"], question.name
    console.close()


def _read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)
