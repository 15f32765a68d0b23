"""The page on a made-up lab: what it shows, who may see it, and what it refuses."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from starlette.requests import Request

from orchestrator.bootstrap import Wiring
from orchestrator.domain.demo import DemoRequest
from orchestrator.domain.errors import ConfigError
from orchestrator.services.demo.fill import fill
from orchestrator.settings import load_settings
from orchestrator.web.access import Access, access
from orchestrator.web.app import create_app
from orchestrator.web.routes.sql import sql
from orchestrator.web.server import serve
from tests.databases import Databases

pytestmark = pytest.mark.system  # of FastAPI, whose import alone would cost each worker of the quick loop a second
TOKEN = "a-token-for-tests-alone"
ADDRESS = "http://localhost"
HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def url(databases: Databases) -> str:
    """Return the URL of a small made-up lab."""
    url = databases.migrated()
    with Wiring(load_settings({"db": url}, config=None)) as wiring:
        fill(DemoRequest(devices=2, series=3, nights=14, seed=7), wiring)
    return url


@pytest.fixture(scope="module")
def wiring(url: str) -> Iterator[Wiring]:
    with Wiring(load_settings({"db": url}, config=None)) as wiring:
        yield wiring


def client(wiring: Wiring, rules: Access | None = None) -> TestClient:
    return TestClient(create_app(wiring, rules or access("127.0.0.1", (), None, None)), base_url=ADDRESS)


@pytest.fixture(scope="module")
def page(wiring: Wiring) -> Iterator[TestClient]:
    with client(wiring) as page:
        yield page


def text_of(page: TestClient, address: str) -> str:
    answer = page.get(address, headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


def rows_of(page: TestClient, address: str) -> list[dict[str, str]]:
    answer = page.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_fleet_is_there_as_cards_as_a_table_as_json_and_as_csv(page: TestClient) -> None:
    cards = page.get("/api/v1/fleet").json()
    names = [card["device"] for card in cards]
    assert names == sorted(names)
    assert len(names) == 2
    assert [row["device"] for row in rows_of(page, "/api/v1/fleet?format=csv")] == names
    for view in ("cards", "table"):
        shown = text_of(page, f"/?view={view}")
        assert all(name in shown for name in names)
        assert all(f"{card['reading']['temperature_c']:.1f} °C" in shown for card in cards)


def test_the_noise_of_a_card_is_that_of_the_view(page: TestClient, wiring: Wiring) -> None:
    card = page.get("/api/v1/fleet").json()[0]
    point = card["noise"][-1]
    console = wiring.page_console()
    try:
        _, rows = console.query(
            "SELECT noise FROM v_noise WHERE metric = 'latency_ns' AND noise IS NOT NULL "
            f"AND device = '{card['device']}' AND run = '{point['run']}' ORDER BY noise"
        )
        noises = [row[0] for row in rows]
    finally:
        console.close()
    middle = len(noises) // 2
    expected = noises[middle] if len(noises) % 2 else (noises[middle - 1] + noises[middle]) / 2
    assert point["noise"] == pytest.approx(expected)
    assert point["cells"] == len(noises)


def test_devices_are_chosen_by_tag_state_and_order(page: TestClient) -> None:
    cards = page.get("/api/v1/fleet").json()
    tag = cards[0]["tags"]["class"]
    chosen = page.get("/api/v1/fleet", params={"select": f"class={tag}"}).json()
    assert [card["device"] for card in chosen] == [card["device"] for card in cards if card["tags"]["class"] == tag]
    assert page.get("/api/v1/fleet", params={"state": "quarantined"}).json() == []
    assert "No device matches" in text_of(page, "/?state=quarantined")
    by_heat = page.get("/api/v1/fleet", params={"sort": "temperature"}).json()
    heats = [card["reading"]["temperature_c"] for card in by_heat]
    assert heats == sorted(heats, reverse=True)


@pytest.mark.parametrize(
    "address", ["/api/v1/fleet?select=class%3D%3D", "/api/v1/fleet?sort=colour", "/api/v1/fleet?format=xml"]
)
def test_nonsense_in_an_address_is_answered_in_words(page: TestClient, address: str) -> None:
    answer = page.get(address)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "message", "hint"}


def test_the_interface_describes_itself_truly(page: TestClient) -> None:
    document = page.get("/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/")
        assert set(methods) == {"get"}
    schema = document["paths"]["/api/v1/fleet"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": document["components"]})
    validator.validate(page.get("/api/v1/fleet").json())


def test_every_answer_has_the_headers_and_no_inline_script_or_style(page: TestClient) -> None:
    for address in ("/", "/?view=table", "/nowhere", "/sign-in", "/api/v1/fleet"):
        answer = page.get(address, headers=HTML)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", answer.text)


def test_a_page_that_is_not_there_says_so(page: TestClient) -> None:
    answer = page.get("/nowhere", headers=HTML)
    assert answer.status_code == 404
    assert "there is no such page" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8321"])
def test_a_foreign_name_is_refused(page: TestClient, host: str) -> None:
    assert page.get("/", headers={"host": host}).status_code == 421
    assert page.get("/static/x/page.css", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8321", "127.0.0.1:8321", "[::1]:8321"])
def test_the_names_of_this_machine_are_taken(page: TestClient, host: str) -> None:
    assert page.get("/healthz", headers={"host": host}).status_code == 200


def test_a_shared_page_shows_nothing_without_the_token(wiring: Wiring) -> None:
    shared = client(wiring, access("0.0.0.0", ("localhost",), TOKEN, None))
    assert shared.get("/api/v1/fleet").status_code == 401
    assert shared.get("/api/v1/fleet", headers={"authorization": "Bearer another-token-of-length"}).status_code == 401
    sent_on = shared.get("/", headers=HTML, follow_redirects=False)
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/sign-in")
    assert "demo-" not in shared.get("/", headers=HTML).text
    for open_to_all in ("/sign-in", "/sign-in/there-is-no-such-page"):
        assert wiring.reader.location not in html.unescape(shared.get(open_to_all, headers=HTML).text)
    assert shared.get("/api/v1/fleet", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_reader_signs_in_with_the_token_alone(wiring: Wiring) -> None:
    shared = client(wiring, access("0.0.0.0", ("localhost",), TOKEN, None))
    own = {"origin": ADDRESS}
    assert shared.post("/sign-in", data={"token": "guess"}, headers=own).status_code == 401
    assert shared.get("/api/v1/fleet").status_code == 401
    assert shared.post("/sign-in", data={"token": TOKEN}, headers=own, follow_redirects=False).status_code == 303
    assert shared.get("/api/v1/fleet").status_code == 200
    assert (
        "httponly"
        in str(shared.post("/sign-in", data={"token": TOKEN}, headers=own, follow_redirects=False).headers).lower()
    )


def test_a_session_of_another_start_is_worth_nothing(wiring: Wiring) -> None:
    rules = [access("0.0.0.0", ("localhost",), TOKEN, None) for _ in range(2)]
    shared = client(wiring, rules[0])
    shared.cookies.set("benchfleet_session", rules[1].session())
    assert shared.get("/api/v1/fleet").status_code == 401


def test_a_proxy_lets_in_whom_it_names(wiring: Wiring) -> None:
    behind = client(wiring, access("0.0.0.0", ("localhost",), None, "X-Forwarded-User"))
    assert behind.get("/api/v1/fleet").status_code == 401
    assert behind.get("/api/v1/fleet", headers={"x-forwarded-user": "ada"}).status_code == 200


def test_a_token_and_a_proxy_are_not_taken_together() -> None:
    with pytest.raises(ConfigError, match="both given"):
        access("0.0.0.0", (), TOKEN, "X-Forwarded-User")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"referer": "https://evil.example/localhost"},
        {"origin": ADDRESS, "sec-fetch-site": "cross-site"},
        {"origin": ADDRESS, "sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(page: TestClient, headers: dict[str, str]) -> None:
    assert page.post("/sign-in", data={"token": "x"}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({}, "a form without an Origin"),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, "a form of another site"),
        ({"origin": "https://lab.example", "sec-fetch-site": "same-origin"}, "pass the header Host on as it is"),
    ],
)
def test_a_refused_form_is_told_who_is_to_blame(page: TestClient, headers: dict[str, str], cause: str) -> None:
    assert cause in page.post("/sign-in", data={"token": "x"}, headers=headers).text


def test_a_wrong_token_is_told_from_none(wiring: Wiring) -> None:
    shared = client(wiring, access("0.0.0.0", ("localhost",), TOKEN, None))
    assert "a token is needed" in shared.get("/api/v1/fleet").text
    wrong = shared.get("/api/v1/fleet", headers={"authorization": "Bearer another-token-of-length"}).text
    assert "does not have the token of this server" in wrong
    assert TOKEN not in wrong


def test_an_address_that_is_not_there_leads_on_where_the_reader_is(page: TestClient) -> None:
    assert page.get("/api/v1/nowhere").json()["hint"] == "/api/v1/openapi.json lists every address"
    assert page.get("/api/v1/openapi.json").status_code == 200
    assert "the list above" in page.get("/nowhere", headers=HTML).text


def test_an_address_that_cannot_be_listened_at_is_told_by_its_cause(wiring: Wiring) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="in use") as found:
            serve(wiring, access("127.0.0.1", (), None, None), port, print)
        assert "another program, or an earlier benchfleet serve" in str(found.value.hint)
    with pytest.raises(ConfigError) as found:
        serve(wiring, access("203.0.113.9", (), TOKEN, None), 0, print)
    assert "an address of this machine" in str(found.value.hint)


def test_static_files_are_kept_for_ever_and_nothing_else_is_served(page: TestClient) -> None:
    answer = page.get("/static/any/page.css")
    assert "immutable" in answer.headers["cache-control"]
    for name in ("../app.py", "%2e%2e/app.py", "vendor", "/etc/passwd", ""):
        assert page.get(f"/static/any/{name}").status_code == 404


def test_the_first_load_is_small(page: TestClient) -> None:
    """Everything that a first visit fetches, unpacked: 150 KiB, whatever the browser saves by compression."""
    shown = page.get("/", headers=HTML)
    parts = re.findall(r'(?:src|href)="(/static/[^"]+)"', shown.text)
    assert len(parts) >= 3
    sizes = [len(shown.content), *(len(page.get(part).content) for part in parts)]
    assert sum(sizes) <= 150 * 1024


def test_no_page_can_write(wiring: Wiring) -> None:
    from sqlalchemy import text

    from orchestrator.domain.errors import StoreError

    with pytest.raises(StoreError), wiring.reader.database.write() as connection:
        connection.execute(text("DELETE FROM device"))


def test_vendored_scripts_come_with_version_and_licence() -> None:
    folder = Path(__file__).parents[2] / "orchestrator/web/static/vendor"
    said = (folder / "README.md").read_text(encoding="utf-8")
    for file in folder.iterdir():
        assert file.name == "README.md" or f"`{file.name}`" in said


@pytest.fixture(scope="module")
def newest(page: TestClient) -> str:
    """Return the id of the newest run."""
    run: str = page.get("/api/v1/runs").json()[0]["run"]
    return run


def test_runs_are_listed_newest_first(page: TestClient) -> None:
    runs = page.get("/api/v1/runs?limit=5").json()
    assert len(runs) == 5
    assert runs == sorted(runs, key=lambda run: run["started_at"], reverse=True)
    shown = text_of(page, "/runs?limit=5")
    assert all(f"/runs/{run['run']}" in shown for run in runs)
    assert "limit=20" in shown
    assert page.get("/api/v1/runs?limit=0").status_code == 422


def test_a_run_has_its_devices_results_and_what_is_missing(page: TestClient, newest: str) -> None:
    details = page.get(f"/api/v1/runs/{newest}").json()
    shown = text_of(page, f"/runs/{newest}")
    for part in ("devices", "results", "environment"):
        assert f'id="{part}"' in shown
    for result in details["results"]:
        assert result["cell"]["runtime"] in shown
    rows = rows_of(page, f"/api/v1/runs/{newest}?format=csv")
    assert len(rows) == len(details["results"])
    assert f'href="/runs/{newest}"' not in shown or "aria-current" in shown
    assert page.get("/api/v1/runs/last").json() == details


def test_a_missing_trial_is_shown_with_the_reason(page: TestClient) -> None:
    runs = [run["run"] for run in page.get("/api/v1/runs?limit=100").json()]
    found = [details for run in runs if (details := page.get(f"/api/v1/runs/{run}").json())["missing"]]
    assert found, "the made-up lab has nights with missing trials"
    one = found[0]["missing"][0]
    shown = text_of(page, f"/runs/{found[0]['record']['header']['run']}")
    assert 'id="missing"' in shown
    assert one["label"] in shown


def test_an_ended_run_is_followed_to_its_end_at_once(page: TestClient, newest: str) -> None:
    glance = page.get(f"/api/v1/runs/{newest}/glance").json()
    with page.stream("GET", f"/api/v1/runs/{newest}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == "event: glance"
    assert json.loads(lines[1].removeprefix("data: ")) == glance
    assert lines[2] == "event: end"
    measured = sum(device["trials"]["measured"] for device in glance["devices"])
    assert measured == page.get("/api/v1/runs?limit=1").json()[0]["trials_measured"]


def test_runs_are_shown_and_found_by_what_people_say_of_them(page: TestClient, wiring: Wiring) -> None:
    everything = page.get("/api/v1/runs?limit=1000").json()
    run, sweep = everything[3]["run"], everything[3]["sweep"]
    said = "<b>new</b> sink"
    wiring.store.words.change_tags(run, {"branch": "main"}, [], "ann@ws1")
    wiring.store.words.write_note(run, said, "ann@ws1")
    found = page.get("/api/v1/runs", params={"tag": "branch=main"}).json()
    assert [(one["run"], one["words"]["note"], one["words"]["tags"]) for one in found] == [
        (run, said, {"branch": "main"})
    ]
    of_sweep = page.get("/api/v1/runs", params={"sweep": sweep, "limit": 1000, "device": "", "state": ""}).json()
    assert [one["run"] for one in of_sweep] == [one["run"] for one in everything if one["sweep"] == sweep]
    listed = text_of(page, "/runs?tag=branch&state=&name=&sweep=")
    assert f"/runs/{run}" in listed
    assert html.escape(said) in listed
    assert said not in listed
    assert everything[0]["run"] not in listed
    shown = text_of(page, f"/runs/{run}")
    assert html.escape(said) in shown
    assert "/runs?tag=branch%3Dmain" in shown
    assert "No run matches" in text_of(page, "/runs?device=nothing-*")
    refused = page.get("/api/v1/runs?state=asleep")
    assert refused.status_code == 422
    assert "asleep" in refused.text
    wiring.store.words.change_tags(run, {}, ["branch"], "ann@ws1")


@pytest.mark.parametrize("address", ["/runs/nothing", "/api/v1/runs/nothing", "/api/v1/runs/nothing/events"])
def test_an_unknown_run_is_not_found(page: TestClient, address: str) -> None:
    assert page.get(address).status_code == 404


@pytest.fixture(scope="module")
def comparable(page: TestClient) -> str:
    """Return a run whose variants can be compared: the newest of the longer sweep."""
    for run in page.get("/api/v1/runs?limit=100").json():
        if page.get(f"/api/v1/runs/{run['run']}/comparison").status_code == 200:
            return str(run["run"])
    pytest.fail("no run of the made-up lab compares")


def test_a_comparison_is_a_matrix_with_signs_intervals_and_a_plane(page: TestClient, comparable: str) -> None:
    found = page.get(f"/api/v1/runs/{comparable}/comparison").json()
    shown = text_of(page, f"/compare?run={comparable}")
    rows = [row for group in found["groups"] for row in group["rows"]]
    assert rows
    assert shown.count('class="whisker"') == sum(row["ratio"] is not None for row in rows)
    for row in rows:
        assert f'class="verdict v-{row["verdict"]}"' in shown
    assert 'class="plane"' in shown
    lines = rows_of(page, f"/api/v1/runs/{comparable}/comparison?format=csv")
    assert {line["verdict"] for line in lines} >= {row["verdict"] for row in rows}


def test_a_run_is_shown_right_after_its_comparison(page: TestClient, comparable: str) -> None:
    # Both pages keep what they have read of the run for a moment, and not the same.
    for address in (f"/compare?run={comparable}", f"/runs/{comparable}", f"/compare?run={comparable}"):
        assert comparable in text_of(page, address)


def test_any_two_runs_and_any_coordinate_are_compared(page: TestClient, comparable: str) -> None:
    before = page.get(f"/api/v1/runs/{comparable}/comparison", params={"against": "last-before"}).json()
    assert before["kind"] == "over-time"
    assert "/changes?" in text_of(page, f"/compare?run={comparable}&against=last-before")
    by_device = page.get(f"/api/v1/runs/{comparable}/comparison", params={"by": "device"})
    assert by_device.status_code == 200
    assert by_device.json()["by"] == "device"


def test_a_wrong_comparison_keeps_the_form(page: TestClient, comparable: str) -> None:
    answer = page.get(f"/compare?run={comparable}&by=colour", headers=HTML)
    assert answer.status_code == 422
    assert 'value="colour"' in answer.text
    assert 'role="alert"' in answer.text


@pytest.fixture(scope="module")
def job(page: TestClient) -> int:
    """Return a cell with a trial that broke a condition and was repeated."""
    for run in page.get("/api/v1/runs?limit=100").json():
        for failure in page.get(f"/api/v1/runs/{run['run']}/glance").json()["failures"]:
            if page.get(f"/api/v1/cells/{failure['job']}/samples").json()["trials"]:
                return int(failure["job"])
    pytest.fail("no cell of the made-up lab has an invalid attempt")


def test_a_cell_has_every_attempt_with_conditions_and_what_broke(page: TestClient, job: int) -> None:
    cell = page.get(f"/api/v1/cells/{job}").json()
    unfit = [one for one in cell["attempts"] if one["invalid"]]
    assert unfit
    shown = text_of(page, f"/cells/{job}")
    assert all(word in shown for one in unfit for word in one["invalid"])
    assert "temperature_c" in shown
    measured = [one for one in cell["attempts"] if one["counted"] and "latency_ns" in one["metrics"]]
    lines = [row for row in rows_of(page, f"/api/v1/cells/{job}?format=csv") if row["metric"] == "latency_ns"]
    counted = {row["attempt"]: float(row["value"]) for row in lines if row["counted"] == "True"}
    assert counted == {str(one["id"]): one["metrics"]["latency_ns"]["value"] for one in measured}


def test_the_samples_of_a_cell_are_those_of_the_summaries(page: TestClient, job: int) -> None:
    cell = page.get(f"/api/v1/cells/{job}").json()
    found = page.get(f"/api/v1/cells/{job}/samples").json()
    summaries = {one["id"]: one["metrics"]["latency_ns"] for one in cell["attempts"] if "latency_ns" in one["metrics"]}
    assert found["trials"]
    for trial in found["trials"]:
        summary = summaries[trial["attempt"]]
        assert trial["samples"] == summary["samples"] == sum(trial["counts"])
        assert trial["quantiles"][100] == pytest.approx(summary["value"])
        assert (trial["quantiles"][0], trial["quantiles"][-1]) == (summary["min"], summary["max"])
        assert trial["step"] == 1
        assert sorted(trial["values"])[0] == summary["min"]
    assert len(found["edges"]) == len(found["trials"][0]["counts"]) + 1
    rows = rows_of(page, f"/api/v1/cells/{job}/samples?format=csv")
    assert [int(row["value"]) for row in rows] == [value for trial in found["trials"] for value in trial["values"]]


def test_a_cell_says_how_to_measure_it_again(page: TestClient, job: int) -> None:
    cell = page.get(f"/api/v1/cells/{job}").json()["cell"]
    shown = html.unescape(text_of(page, f"/cells/{job}"))
    command = re.search(r'<pre id="command">(.*?)</pre>', shown)
    assert command is not None
    words = shlex.split(command[1])
    assert words[:4] == ["benchfleet", "runs", "resume", cell["run"]]
    rule = dict(part.split("=", 1) for part in words[words.index("--cells") + 1].split(","))
    assert (rule["device"], rule["variant"], rule["runtime"]) == (cell["device"], cell["variant"], cell["runtime"])


@pytest.mark.parametrize("address", ["/cells/999999999", "/api/v1/cells/999999999", "/api/v1/cells/999999999/samples"])
def test_an_unknown_cell_is_not_found(page: TestClient, address: str) -> None:
    assert page.get(address).status_code == 404


@pytest.mark.parametrize("name", ["0", "-1", "x", "99999999999999999999999"])
def test_a_cell_that_is_no_id_is_refused(page: TestClient, name: str) -> None:
    assert page.get(f"/cells/{name}").status_code == 422


@pytest.fixture(scope="module")
def standing(page: TestClient) -> int:
    """Return the id of a regression that is confirmed."""
    found = page.get("/api/v1/regressions", params={"state": "confirmed"}).json()
    assert found
    return int(found[0]["id"])


def form_token(page: TestClient, regression: int) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', text_of(page, f"/regressions/{regression}"))
    assert found is not None
    return found[1]


def test_regressions_are_listed_by_device_and_state(page: TestClient) -> None:
    every = page.get("/api/v1/regressions", params={"all": "true"}).json()
    standing = page.get("/api/v1/regressions").json()
    assert len(every) > len(standing) > 0
    device = every[0]["series"]["device"]
    chosen = page.get("/api/v1/regressions", params={"device": device, "all": "true"}).json()
    assert [one["id"] for one in chosen] == [one["id"] for one in every if one["series"]["device"] == device]
    shown = text_of(page, f"/regressions?device={device}&all=true")
    assert all(f"/regressions/{one['id']}" in shown for one in chosen)
    assert len(rows_of(page, "/api/v1/regressions?format=csv")) == len(standing)


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_decision_without_the_pages_token_is_refused(page: TestClient, standing: int, token: str) -> None:
    before = page.get(f"/api/v1/regressions/{standing}").json()
    form = {"step": "acknowledged", "reason": "known", "form_token": token}
    assert page.post(f"/regressions/{standing}", data=form, headers={"origin": ADDRESS}).status_code == 422
    assert page.get(f"/api/v1/regressions/{standing}").json() == before


@pytest.mark.parametrize(
    "form", [{"step": "fixed", "reason": "x"}, {"step": "acknowledged", "reason": "  "}, {"step": "x"}]
)
def test_a_decision_that_makes_no_sense_is_answered_in_words(
    page: TestClient, standing: int, form: dict[str, str]
) -> None:
    before = page.get(f"/api/v1/regressions/{standing}").json()
    sent = {**form, "form_token": form_token(page, standing)}
    answer = page.post(f"/regressions/{standing}", data=sent, headers={"origin": ADDRESS, **HTML})
    assert answer.status_code == 422
    assert 'class="problem"' in answer.text
    assert page.get(f"/api/v1/regressions/{standing}").json() == before


def test_a_note_and_a_decision_are_on_record_with_who_wrote_them(
    wiring: Wiring, page: TestClient, standing: int
) -> None:
    behind = client(wiring, access("0.0.0.0", ("localhost",), None, "X-Forwarded-User"))
    own = {"origin": ADDRESS, "x-forwarded-user": "ada\x1b[31m"}
    behind.headers.update({"x-forwarded-user": "ada"})
    token = form_token(behind, standing)
    note = {"step": "note", "reason": "<b>the fan</b> is loud", "form_token": token}
    assert behind.post(f"/regressions/{standing}", data=note, headers=own, follow_redirects=False).status_code == 303
    step = {"step": "acknowledged", "reason": "known since the fan", "form_token": token}
    assert behind.post(f"/regressions/{standing}", data=step, headers=own, follow_redirects=False).status_code == 303
    details = page.get(f"/api/v1/regressions/{standing}").json()
    assert details["regression"]["state"] == "acknowledged"
    assert details["events"][-1]["reason"] == "known since the fan"
    assert details["events"][-1]["who"].startswith("ada")
    assert "\x1b" not in details["events"][-1]["who"]
    assert details["annotations"][-1]["text"].startswith("<b>the fan</b> is ")
    shown = text_of(page, f"/regressions/{standing}")
    assert "<b>" not in shown


def test_a_shared_page_asks_who_decides(wiring: Wiring, page: TestClient) -> None:
    regression = page.get("/api/v1/regressions").json()[0]["id"]
    shared = client(wiring, access("0.0.0.0", ("localhost",), TOKEN, None))
    shared.headers.update({"authorization": f"Bearer {TOKEN}", "origin": ADDRESS})
    note = {"step": "note", "reason": "seen", "form_token": form_token(shared, regression)}
    refused = shared.post(f"/regressions/{regression}", data=note, headers=HTML)
    assert refused.status_code == 422
    assert "who decides?" in refused.text
    named = shared.post(f"/regressions/{regression}", data={**note, "who": "Grace"}, follow_redirects=False)
    assert named.status_code == 303
    assert page.get(f"/api/v1/regressions/{regression}").json()["annotations"][-1]["who"] == "Grace (page)"


def test_a_series_is_drawn_with_every_value_and_what_changed(page: TestClient) -> None:
    series = page.get("/api/v1/regressions", params={"all": "true"}).json()[0]["series"]["id"]
    (found,) = page.get("/api/v1/history", params={"series": series}).json()
    shown = text_of(page, f"/history?series={series}")
    known = [point for point in found["points"] if point["value"] is not None]
    assert known
    assert shown.count("<circle") == len(known)
    assert all(f"/runs/{point['run']}" in shown for point in found["points"])
    assert shown.count('class="change"') == len(found["changes"])
    assert shown.count('class="step"') == len(found["steps"])
    assert len(rows_of(page, f"/api/v1/history?series={series}&format=csv")) == len(found["points"])


def test_without_a_series_there_are_those_to_choose_from(page: TestClient) -> None:
    device = page.get("/api/v1/fleet").json()[0]["device"]
    shown = text_of(page, f"/history?device={device}")
    assert shown.count('href="/history?series=') == 3
    wrong = page.get("/history?series=nothing", headers=HTML)
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text


def test_what_changed_between_two_runs_is_shown(page: TestClient) -> None:
    runs = [run for run in page.get("/api/v1/runs?limit=100").json() if run["sweep"] == "demo-digits"]
    before, after = runs[-1]["run"], runs[0]["run"]
    found = page.get("/api/v1/changes", params={"before": before, "after": after}).json()
    shown = text_of(page, f"/changes?before={before}&after={after}")
    facts = [fact for device in found["devices"] for fact in device["environment"]]
    assert facts, "the made-up lab upgrades a device"
    assert all(html.escape(fact["after"]) in shown for fact in facts)
    assert page.get("/changes?before=x&after=last", headers=HTML).status_code == 422


def test_models_have_their_variants_with_ancestry(page: TestClient) -> None:
    (model, *_) = page.get("/api/v1/models").json()
    names = {one["variant"] for one in model["artifacts"]}
    seen: set[str] = set()
    for one in model["artifacts"]:
        assert one["parent"] is None or one["parent"] in seen or one["parent"] not in names
        seen.add(one["variant"])
    shown = text_of(page, "/models")
    assert all(one["sha256"] in shown for one in model["artifacts"])


def test_sql_reads_and_never_writes(page: TestClient) -> None:
    statement = "SELECT name, id FROM device ORDER BY name"
    rows = page.get("/api/v1/sql", params={"statement": statement}).json()
    assert [row["name"] for row in rows] == [card["device"] for card in page.get("/api/v1/fleet?sort=name").json()]
    assert rows_of(page, f"/api/v1/sql?format=csv&statement={quote(statement)}")[0]["name"] == rows[0]["name"]
    shown = text_of(page, f"/sql?statement={quote(statement)}")
    assert rows[0]["name"] in shown
    for wrong in ("DELETE FROM device", "SELEC 1", "INSERT INTO device (name) VALUES ('x') RETURNING id"):
        answer = page.get("/sql", params={"statement": wrong}, headers=HTML)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
    assert len(page.get("/api/v1/sql", params={"statement": statement}).json()) == len(rows)


def test_a_long_answer_is_cut_and_says_so(page: TestClient) -> None:
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 700) SELECT x FROM n"
    shown = text_of(page, f"/sql?statement={quote(numbers)}")
    assert "500 rows" in shown
    assert "there are more" in shown
    assert len(page.get("/api/v1/sql", params={"statement": numbers}).json()) == 700
    assert len(page.get("/api/v1/sql", params={"statement": numbers, "limit": 3}).json()) == 3


def test_a_statement_whose_reader_has_left_is_not_asked() -> None:
    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    left = Request({"type": "http", "headers": []}, gone)  # of no application: asking would fail otherwise
    with pytest.raises(ConfigError, match="the reader has left"):
        anyio.run(sql, left, "SELECT 1")


def test_an_answer_of_long_values_is_refused_before_it_fills_the_memory(page: TestClient) -> None:
    doubled = "SELECT CAST('x' AS text) UNION ALL SELECT x || x FROM t WHERE length(x) < 4000000"
    rows = "SELECT 1 UNION ALL SELECT y + 1 FROM n WHERE y < 60"
    statement = f"WITH RECURSIVE t(x) AS ({doubled}), n(y) AS ({rows}) SELECT x FROM t, n WHERE length(x) > 4000000"
    answer = page.get("/api/v1/sql", params={"statement": statement})
    assert answer.status_code == 422
    assert "longer than 64 MiB" in answer.json()["message"]


def test_the_saved_questions_answer(page: TestClient) -> None:
    shown = html.unescape(text_of(page, "/sql"))
    links = re.findall(r'href="(/sql\?statement=[^"]+)"', shown)
    assert len(links) >= 25
    assert page.get(links[0], headers=HTML).status_code == 200


def test_another_sites_link_runs_no_statement(page: TestClient) -> None:
    for address in ("/sql?statement=SELECT+1", "/api/v1/sql?statement=SELECT+1"):
        assert page.get(address, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_every_declared_answer_is_as_openapi_says(page: TestClient, newest: str, job: int) -> None:
    document = page.get("/api/v1/openapi.json").json()
    places = {"run": newest, "job": str(job), "regression": "1"}
    query = {"/api/v1/history": "series=1", "/api/v1/changes": f"before=last-before&after={newest}"}
    checked = 0
    for path, methods in document["paths"].items():
        content = methods["get"]["responses"]["200"].get("content", {}).get("application/json", {})
        if "$ref" not in str(content):
            continue
        address = re.sub(r"\{(\w+)\}", lambda found: places[found[1]], path)
        answer = page.get(f"{address}?{query.get(path, '')}")
        if path.endswith("/comparison") and answer.status_code == 422:
            continue  # too few trials in a run of the made-up lab
        assert answer.status_code == 200, f"{address}: {answer.text}"
        Draft202012Validator({**content["schema"], "components": document["components"]}).validate(answer.json())
        checked += 1
    assert checked >= 10
