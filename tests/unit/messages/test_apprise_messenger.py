"""Messages through Apprise, to a real HTTP server of this machine."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.message import Delivery, Message, Recipient, recipients
from orchestrator.messages.apprise_messenger import AppriseMessenger

pytestmark = pytest.mark.system  # to import Apprise takes two seconds

BAD = Message("pi-03: 8 cells slower", "×1.051 [1.044–1.058] latency_ns")
GOOD = Message("pi-03: fixed", "back to 41.9 µs", is_good=True)
TOKEN = "T0pS3cretToken"


@dataclass
class Service:
    """A service that answers with a status of its own choosing, or never."""

    url: str
    status: int = 200
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.heard.append((self.path, body))
            found.may_answer.wait(30)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Service(f"json://ann:{TOKEN}@127.0.0.1:{server.server_port}/hooks/{TOKEN}")
    found.may_answer.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.may_answer.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def every_line() -> Iterator[io.StringIO]:
    """What a program sees that logs everything."""
    root, lines = logging.getLogger(), io.StringIO()
    level, handler = root.level, logging.StreamHandler(lines)
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


def send(service: Service, *messages: Message, send_s_max: float = 20.0) -> tuple[Delivery, ...]:
    return tuple(AppriseMessenger(send_s_max).send(messages, [Recipient("TEAM", service.url)]))


def test_each_message_is_posted_with_title_text_and_kind(service: Service) -> None:
    assert send(service, BAD, GOOD) == (Delivery("TEAM", BAD.title), Delivery("TEAM", GOOD.title))
    assert [path for path, _ in service.heard] == [f"/hooks/{TOKEN}"] * 2
    bodies = [(body["title"], body["message"], body["type"]) for _, body in service.heard]
    assert bodies == [(BAD.title, BAD.body, "failure"), (GOOD.title, GOOD.body, "success")]


def test_a_refused_message_is_told_with_its_status_and_without_the_address(
    service: Service, every_line: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    service.status = 503
    logging.getLogger("benchfleet").error("seen")
    (delivery,) = send(service, BAD)
    assert every_line.getvalue() == "seen\n"
    assert delivery.failure == "refused with HTTP status 503; `apprise -vv -b test URL` shows why"
    printed = capfd.readouterr()
    assert TOKEN not in f"{delivery} {printed.out} {printed.err}"
    assert "127.0.0.1" not in f"{delivery} {printed.out} {printed.err}"


def test_a_service_that_is_gone_is_told(service: Service) -> None:
    gone = Recipient("TEAM", f"json://127.0.0.1:1/{TOKEN}")
    (delivery,) = AppriseMessenger().send([BAD], [gone])
    assert delivery.failure == "not delivered; `apprise -vv -b test URL` shows why"


def test_a_service_that_never_answers_costs_its_time_once(service: Service) -> None:
    service.may_answer.clear()
    silent = "no answer within 0.3 s"
    assert send(service, BAD, GOOD, send_s_max=0.3) == (
        Delivery("TEAM", BAD.title, silent),
        Delivery("TEAM", GOOD.title, silent),
    )
    assert len(service.heard) <= 1


def test_one_bad_service_keeps_no_message_from_the_next(service: Service) -> None:
    deliveries = AppriseMessenger().send(
        [BAD], [Recipient("GONE", "json://127.0.0.1:1"), Recipient("NONSENSE", "x"), Recipient("TEAM", service.url)]
    )
    assert [(one.recipient, one.failure is None) for one in deliveries] == [
        ("GONE", False),
        ("NONSENSE", False),
        ("TEAM", True),
    ]
    assert deliveries[1].failure == "NONSENSE: not an address for messages"


@pytest.mark.parametrize("url", ["", "no url", f"unknown://{TOKEN}", "json://"])
def test_an_address_of_no_service_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        AppriseMessenger().refuse_bad([Recipient("TEAM", url)])
    assert str(refused.value) == "TEAM: not an address for messages"
    assert TOKEN not in str(refused.value.hint)


def test_an_address_is_in_no_text_of_a_recipient() -> None:
    assert TOKEN not in repr(Recipient("TEAM", f"json://{TOKEN}"))


def test_addresses_come_from_the_environment_one_or_several_a_variable() -> None:
    environ = {"TEAM": "json://a\n json://b ", "ANN": "json://c", "EMPTY": " "}
    found = [(one.name, one.url) for one in recipients(["TEAM", "ANN", "TEAM", "json://d"], environ)]
    assert found == [
        ("TEAM, address 1", "json://a"),
        ("TEAM, address 2", "json://b"),
        ("ANN", "json://c"),
        ("notify, address 3", "json://d"),
    ]
    for missing in ("EMPTY", "NOBODY"):
        with pytest.raises(ConfigError, match=f"notify: the environment variable {missing} is not set"):
            list(recipients([missing], environ))
