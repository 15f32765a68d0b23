"""The page in a real Chromium, on both databases: what is drawn, also without scripts, in the dark and on a phone."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestrator.bootstrap import Wiring
from orchestrator.domain.demo import DemoRequest
from orchestrator.services.demo.fill import fill
from orchestrator.settings import load_settings
from orchestrator.store.schema import tables as t
from orchestrator.store.store import Store, open_store
from tests.databases import Databases

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b]0;pwned\x07\u202egpj.exe"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def url(databases: Databases) -> str:
    """Return the URL of a small made-up lab, in which a device says what harms a page."""
    url = databases.migrated()
    with Wiring(load_settings({"db": url}, config=None)) as wiring:
        fill(DemoRequest(devices=3, series=4, nights=14, seed=7), wiring)
    with open_store(url) as store:
        spoil(store)
    return url


def spoil(store: Store) -> None:
    """Put hostile text wherever a device or a person may put text, behind all our own cleaning."""
    harm = EVIL if store.database.is_sqlite else EVIL.replace("\x00", "")
    with store.database.write() as connection:
        device = t.device.c
        connection.execute(t.device.update().where(device.id == 1).values(name=f"dev{harm}", tags={harm: harm}))
        connection.execute(t.device_snapshot.update().values(facts={"kernel": harm, harm: harm, "python": harm}))
        connection.execute(t.run_device.update().where(t.run_device.c.device_id == 1).values(error=harm, hint=harm))
        connection.execute(t.model.update().values(description=harm, task=harm, license=harm))
        connection.execute(t.model_variant.update().values(made=harm))
        connection.execute(t.annotation.update().values(text=harm, who=harm))
        connection.execute(t.regression_event.update().values(reason=harm, who=harm))
        connection.execute(
            t.attempt.update().values(
                conditions_after={"temperature_c": 50.0, "governor": harm, harm: harm},
                runtime_reported={"name": harm, harm: harm},
                failure_message=harm,
                failure_kind=harm,
                failure_stderr_tail=harm,
            )
        )


@pytest.fixture(scope="module")
def site(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the lab by the real command, and return the address."""
    command = [sys.executable, "-m", "orchestrator", "serve", "--db", url, "--port", "0"]
    folder = tmp_path_factory.mktemp("serve")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment()) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", said)
            assert found, said + process.stderr.read()
            # Whoever writes to a pipe that nobody empties is held up.
            rest: list[str] = []
            reader = threading.Thread(target=lambda: rest.extend(process.stderr or ()), daemon=True)
            reader.start()
            yield found[0].rstrip("/")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    reader.join(30)
    said = "".join(rest)
    assert process.returncode in (0, -signal.SIGTERM), said
    assert "Traceback" not in said, said


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Debian's Chromium; skips where it is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed: scripts/install-system-packages")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def cell_of(site: str) -> str:
    job = get(site, "/api/v1/runs/last/glance")
    found = re.search(r'"job": (\d+)', job)
    assert found
    return f"/cells/{found[1]}"


def get(site: str, address: str) -> str:
    parts = urlsplit(site)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("GET", address)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, (address, answer.status, body)
        return body
    finally:
        connection.close()


def pages_of(site: str) -> list[str]:
    return [
        "/",
        "/?view=table",
        "/runs",
        "/runs/last",
        "/compare?run=last",
        cell_of(site),
        "/regressions?all=true",
        "/regressions/1",
        "/history",
        "/history?series=1",
        "/changes",
        "/models",
        "/sql?statement=SELECT+*+FROM+v_open_regressions",
    ]


class Watched:
    """A page that notes whatever goes wrong in it."""

    def __init__(self, browser: Any, site: str, **options: Any) -> None:
        self._context = browser.new_context(base_url=site, bypass_csp=False, **options)
        # A busy machine draws slowly: only the test's own limit says that a page hangs.
        self._context.set_default_timeout(200_000)
        self.page = self._context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("dialog", self._answer)

    def _hear(self, said: Any) -> None:
        if said.type == "error":
            self.wrong.append(said.text)

    def _answer(self, dialog: Any) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *raised: object) -> None:
        self._context.close()

    def open(self, address: str) -> None:
        self.page.goto(address, wait_until="load")

    def type_until_at(self, keys: str, address: str) -> None:
        """Type keys that belong together until the page is at an address: the page takes slow typing for two words."""
        from playwright.sync_api import TimeoutError as NoAnswerError

        for _ in range(20):
            self.page.keyboard.type(keys)
            with suppress(NoAnswerError):
                self.page.wait_for_url(address, timeout=5000)
                return
        raise AssertionError(f"{keys} leads to {self.page.url}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_by_axe_and_no_text_of_a_device_becomes_markup(
    browser: Any, site: str, scheme: str
) -> None:
    # The driver puts axe in, past the policy that keeps foreign scripts out.
    with Watched(browser, site, color_scheme=scheme) as seen:
        # The colours of a scheme are those of a few pages.
        for address in pages_of(site) if scheme == "light" else ("/", "/compare?run=last", "/regressions/1"):
            seen.open(address)
            assert seen.page.locator("img, script:not([src])").count() == 0, address
            seen.page.evaluate(AXE.read_text(encoding="utf-8"))
            found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [
                (one["id"], [node["html"][:200] for node in one["nodes"][:2]])
                for one in found["violations"]
                if one["impact"] in SERIOUS
            ]
            assert serious == [], address
        assert seen.wrong == []


def test_hostile_text_is_shown_as_text(browser: Any, site: str) -> None:
    with Watched(browser, site) as seen:
        for address in ("/", "/models", cell_of(site), "/regressions/1"):
            seen.open(address)
            shown = seen.page.inner_text("body")
            assert "<script>alert(1)</script>" in shown, address
            content = seen.page.content()
            assert "\u202e" not in content
            assert "\x1b" not in content
        assert seen.wrong == []


def test_nothing_is_wider_than_a_phone(browser: Any, site: str) -> None:
    with Watched(browser, site, viewport={"width": 390, "height": 800}) as seen:
        for address in pages_of(site):
            seen.open(address)
            wide = seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, (address, wide)


def test_every_figure_is_on_the_screen_of_a_phone_and_a_table_that_goes_on_says_so(browser: Any, site: str) -> None:
    """Rows stack where the figures would lie beyond the edge. Other tables have a shadow where they go on."""
    with Watched(browser, site, viewport={"width": 390, "height": 800}) as seen:
        for address in ("/runs", "/runs/last", "/compare?run=last", cell_of(site)):
            seen.open(address)
            assert seen.page.locator("table.labelled").count() >= 1, address
            beyond = seen.page.evaluate(
                "[...document.querySelectorAll('table.labelled :is(td, th)')].filter(one => one.offsetParent)"
                ".filter(one => one.getBoundingClientRect().right > innerWidth).map(one => one.textContent)"
            )
            assert beyond == [], address
            # Without its heading a figure needs a name of its own.
            nameless = "table.labelled td.n:not([data-label])"
            assert seen.page.locator(nameless).evaluate_all("all => all.filter(one => one.offsetParent).length") == 0
        seen.open("/compare?run=last")
        named = seen.page.locator(".matrix td[data-label]").first
        assert (
            named.evaluate("one => getComputedStyle(one, '::before').content")
            == f'"{named.get_attribute("data-label")}"'
        )
        seen.open("/changes")
        assert "gradient" in seen.page.locator(".scroll").first.evaluate("one => getComputedStyle(one).backgroundImage")


def test_without_scripts_every_page_has_its_tables(browser: Any, site: str) -> None:
    with Watched(browser, site, java_script_enabled=False) as seen:
        for address in pages_of(site):
            seen.open(address)
            assert seen.page.locator("h1").count() == 1, address
            assert seen.page.locator("table, ul.cards").count() >= 1, address
        seen.open("/")
        seen.page.select_option("select[name=view]", "table")
        seen.page.click("text=Show")
        assert "view=table" in seen.page.url
        assert seen.page.locator("tbody tr").count() == 3


def test_the_charts_of_a_cell_are_drawn(browser: Any, site: str) -> None:
    with Watched(browser, site) as seen:
        seen.open(cell_of(site))
        for name in ("histogram", "ecdf", "time"):
            canvas = seen.page.locator(f"#chart-{name} canvas")
            canvas.wait_for()
            assert canvas.evaluate(
                "one => new Uint32Array(one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer)"
                ".some(point => point !== 0)"
            )
        assert seen.wrong == []


def test_keys_filters_and_sorting_work_and_are_in_the_address(browser: Any, site: str) -> None:
    with Watched(browser, site) as seen:
        seen.open("/?view=table")
        seen.page.keyboard.press("/")
        assert seen.page.evaluate("document.activeElement.id") == "filter"
        seen.page.keyboard.type("demo-*")
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_url("**select=demo-**")
        seen.page.wait_for_function("document.querySelectorAll('#fleet tbody tr').length === 2")
        heading = seen.page.locator("th", has_text="Temperature")
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert "#sort=5a" in seen.page.url
        seen.page.keyboard.press("Escape")
        seen.type_until_at("gm", "**/models")
        assert seen.wrong == []


def test_the_slow_device_is_two_clicks_away(browser: Any, site: str) -> None:
    with Watched(browser, site) as seen:
        seen.open("/")
        seen.page.locator(".cards .bad").first.click()
        seen.page.wait_for_url("**/regressions?**")
        seen.page.locator("tbody th a").first.click()
        seen.page.wait_for_url("**/regressions/*")
        assert "Regression" in seen.page.inner_text("h1")


def test_two_hundred_requests_at_once_neither_fail_nor_lock_the_writer_out(site: str, url: str) -> None:
    addresses = [
        "/",
        "/runs",
        "/runs/last",
        "/regressions",
        "/history?series=1",
        "/models",
        cell_of(site),
        "/api/v1/fleet",
    ]
    with open_store(url) as store, ThreadPoolExecutor(200) as readers:
        answers = [readers.submit(get, site, addresses[place % len(addresses)]) for place in range(200)]
        written = 0
        while any(not answer.done() for answer in answers):
            with store.database.write() as connection:
                connection.execute(t.sweep.update().where(t.sweep.c.id == 1).values(name=t.sweep.c.name))
            written += 1
        assert all(answer.result() for answer in answers)
    assert written > 0


def test_a_network_is_not_served_without_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "serve", "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=60)
    assert ended.returncode == 2
    assert "BENCHFLEET_TOKEN" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "serve", "--db", "none.db", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=60)
    assert ended.returncode == 2
    assert "there is no such database" in ended.stderr
    assert list(tmp_path.iterdir()) == []
