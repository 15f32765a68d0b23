"""Serve the page of a database to a client in this process."""

from __future__ import annotations

import html
from collections.abc import Iterator

from fastapi.testclient import TestClient

from orchestrator.bootstrap import Wiring
from orchestrator.settings import load_settings
from orchestrator.web.access import access
from orchestrator.web.app import create_app

HTML = {"accept": "text/html"}


def served(url: str) -> Iterator[TestClient]:
    """Yield a client of the page of a database."""
    with (
        Wiring(load_settings({"db": url}, config=None)) as wiring,
        TestClient(create_app(wiring, access("127.0.0.1", (), None, None)), base_url="http://localhost") as page,
    ):
        yield page


def text_of(page: TestClient, address: str) -> str:
    """Return a page without its entities. Fail for any other answer."""
    answer = page.get(address, headers=HTML)
    assert answer.status_code == 200, (address, answer.text)
    return html.unescape(answer.text)
