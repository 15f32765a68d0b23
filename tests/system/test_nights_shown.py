"""What people get of a night: files, and a message for each cause, with a real program that becomes slower."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import html5lib
import junitparser
import pytest

from orchestrator.domain.errors import ExitCode
from tests.databases import PostgresDatabases
from tests.lab import Lab
from tests.servers.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

TOKEN = "T0pS3cretToken"
PROGRAM = """\
. ./pace.sh
echo '{"runtime": {"name": "shell", "version": "1"}}'
base=$((latency + $$ % 7 * 1000))
echo "{\\"metric\\": \\"latency_ns\\", \\"samples\\": [$base, $base, $base, $base, $base, $base]}"
echo '{"done": true}'
"""


@dataclass
class Chat:
    """A web hook on this machine."""

    url: str = ""
    status: int = 200
    is_silent: bool = False
    heard: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def chat() -> Iterator[Chat]:
    found = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if found.is_silent:
                self.rfile.read()  # until the sender is gone
                return
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"json://127.0.0.1:{server.server_port}/hooks/{TOKEN}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


class ServerLab(Lab):
    """A lab whose database is a PostgreSQL server's."""

    url = ""

    @property
    def environment(self) -> dict[str, str]:
        """Return what the command sees."""
        return {**super().environment, **({"BENCHFLEET_DB": self.url} if self.url else {})}


@pytest.fixture
def lab(tmp_path: Path) -> ServerLab:
    made = ServerLab(tmp_path)
    made.move_to_own_machine()
    made.add_local("here")
    runtime = {"exec": {"name": "shell", "command": ["sh", "sweep.sh"], "files": ["sweep.sh", "pace.sh"]}}
    made.write_exec_sweep(PROGRAM, variants=["fp32", "int8"], runtimes=[runtime], trials=5)
    nightly = {
        "nightly": "shown",
        "sweeps": ["sweep.yaml"],
        "notify": ["TEAM"],
        "outputs": {"html": "out/{night}.html", "junit": "out/night.xml"},
    }
    made.write("nightly.yaml", json.dumps(nightly))
    return made


def night(lab: Lab, chat: Chat, latency: int, *flags: str) -> tuple[int, str, str]:
    """Run a night with a program of some latency in ns."""
    lab.write("pace.sh", f"latency={latency}\n")
    done = lab.run("nightly", "run", "nightly.yaml", *flags, environment={"TEAM": chat.url}, timeout_s=200)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_slower_program_is_told_once_and_shown_in_every_file(
    lab: ServerLab, chat: Chat, postgres_databases: PostgresDatabases
) -> None:
    lab.url = postgres_databases.migrated()
    assert night(lab, chat, 1_000_000)[0] == ExitCode.FINE
    assert chat.heard == []
    code, shown, _ = night(lab, chat, 1_100_000, "--again", "--html", "digest.html")
    assert code == ExitCode.REGRESSION
    assert "✗ confirmed (2)" in shown
    (message,) = chat.heard
    assert message["title"].startswith("✗ shown, here: 2 cells regressed, latency_ns ×1.")
    assert message["message"].count("×1.") == 2

    # The night of the day is shown again, and told once.
    assert night(lab, chat, 1_100_000)[0] == ExitCode.REGRESSION
    assert len(chat.heard) == 1

    page = (lab.directory / "digest.html").read_text(encoding="utf-8")
    assert html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page) is not None
    assert page.count("<svg") == 2
    assert len(list((lab.directory / "out").glob("shown-*.html"))) == 2
    read = junitparser.JUnitXml.fromfile(str(lab.directory / "out" / "night.xml"))
    assert (read.tests, read.failures, read.errors, read.skipped) == (2, 2, 0, 0)
    found = lab.json("nightly", "show", "last")
    assert [cell["verdict"] for cell in found["cells"]] == ["confirmed", "confirmed"]
    for cell in found["cells"]:
        assert len(lab.rows(cell["sql"])) >= 15, "the statement shows both sides' trials"


def test_a_message_that_a_power_cut_kept_back_is_sent_by_the_next_command(lab: Lab, chat: Chat) -> None:
    assert night(lab, chat, 1_000_000)[0] == ExitCode.FINE
    chat.is_silent = True
    lab.write("pace.sh", "latency=1100000\n")
    controller = lab.start("nightly", "run", "nightly.yaml", "--again", environment={"TEAM": chat.url})
    wait_until(lambda: bool(chat.heard), "the message is on its way", 200)
    controller.kill()
    controller.wait()
    chat.is_silent = False

    # Tomorrow's night, which measures the mended program, tells of the night before.
    assert night(lab, chat, 1_000_000, "--again")[0] == ExitCode.FINE

    cut, again, *_ = chat.heard
    assert again == cut
    assert again["title"].startswith("✗ shown, here: 2 cells regressed")
    count = len(chat.heard)
    assert night(lab, chat, 1_000_000)[0] == ExitCode.FINE
    assert len(chat.heard) == count
    assert not list(lab.directory.rglob("*.untold"))


def test_a_message_that_is_refused_is_told_and_changes_no_exit_code(lab: Lab, chat: Chat) -> None:
    assert night(lab, chat, 1_000_000)[0] == ExitCode.FINE
    chat.status = 503
    code, shown, said = night(lab, chat, 1_100_000, "--again")
    assert code == ExitCode.REGRESSION
    assert len(chat.heard) == 1
    assert "TEAM: not told: refused with HTTP status 503" in said
    kept = [path.read_bytes() for path in lab.directory.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [text for text in (shown.encode(), said.encode(), *kept) if TOKEN.encode() in text]


def test_nothing_is_measured_where_nobody_could_be_told_or_no_file_written(lab: Lab, chat: Chat) -> None:
    lab.write("pace.sh", "latency=1000000\n")
    untold = lab.run("nightly", "run", "nightly.yaml")
    assert (untold.returncode, untold.stdout) == (ExitCode.USAGE, "")
    assert untold.stderr.startswith("error: notify: the environment variable TEAM is not set\n")
    code, _, said = night(lab, chat, 1_000_000, "--html", "none/night.html")
    assert code == ExitCode.USAGE
    assert said.startswith("error: none/night.html: the html of the night cannot be written: No such file")
    bad = lab.run("nightly", "run", "nightly.yaml", environment={"TEAM": f"nowhere://{TOKEN}"})
    assert bad.returncode == ExitCode.USAGE
    assert bad.stderr.startswith("error: TEAM: not an address for messages\n")
    assert TOKEN not in bad.stderr
    assert lab.json("runs", "list") == []
