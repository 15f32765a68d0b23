"""What a device says reaches a terminal as plain text, whatever it says and whichever command shows it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

STAND_IN = Path(__file__).with_name("hostile_device.py")
EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066 \x00"
HARMFUL = ("\x1b]0;", "\x1b[2J", "\x9b", "\x07", "\u202e", "\u2066", "\u200b", "\x00", "\r")

FORGED = "SELECT 'x' || char(27) || ']0;pwned' || char(7) || char(8238) AS y"
"""Text that never came through our own cleaning: another program wrote it, say."""

EVIL_PROGRAM = """\
import json, os, sys
evil = {evil!r}
sys.stderr.write(evil * 20)
if os.environ["BENCHFLEET_SETTING_WAY"] == "fail":
    print(json.dumps({{"failure": {{"kind": "load-error", "message": evil + "\\nerror: all is well"}}}}))
    sys.exit(0)
print(json.dumps({{"runtime": {{"name": evil, "version": evil, evil: [evil]}}}}))
print(json.dumps({{"metric": "latency_ns", "samples": list(range(1000, 1100))}}))
print(json.dumps({{"done": True}}))
"""


def assert_harmless(text: str, *, terminal: bool = False) -> None:
    """A terminal's own line ends and colours are ours; nothing else is."""
    seen = text.replace("\r\n", "\n") if terminal else text
    found = [word for word in HARMFUL if word in seen and not (terminal and word == "\r")]
    assert found == [], (found, seen[-2000:])
    if not terminal:
        assert "\x1b" not in seen


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    made = Lab(tmp_path)
    made.trust(ssh_server)
    return made


def on_terminal(lab: Lab, *arguments: str) -> str:
    """Run a command on a terminal of its own and return what that was sent."""
    parent, child = pty.openpty()
    environment = {**lab.environment, "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen(
        lab.argv(*arguments), cwd=lab.directory, env=environment, stdin=child, stdout=child, stderr=child
    )
    os.close(child)
    sent = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the terminal is closed
            break
        if not piece:
            break
        sent += piece
    os.close(parent)
    process.wait(60)
    return sent.decode("utf-8", "replace")


@pytest.mark.parametrize("mode", ["loader", "hello", "error", "facts"])
def test_a_worker_that_was_taken_over(lab: Lab, ssh_server: SshServer, tmp_path: Path, mode: str) -> None:
    stand_in = tmp_path / f"python-{mode}"
    code = STAND_IN.read_text(encoding="utf-8")
    stand_in.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    stand_in.chmod(0o755)
    lab.add_ssh("pi-01", ssh_server, python=str(stand_in))
    sweep = str(lab.write_exec_sweep())

    done = lab.run("run", sweep, environment={"BENCHFLEET_LOG_LEVEL": "debug"})
    assert_harmless(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert "error: all is well" not in done.stderr.splitlines()
    assert_harmless(on_terminal(lab, "devices", "probe"), terminal=True)
    assert_harmless(lab.run("devices", "list", "--json").stdout)


def test_a_program_that_prints_escape_sequences(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("pi-01", ssh_server)
    lab.write("evil.py", EVIL_PROGRAM.format(evil=EVIL))
    runtime = {"exec": {"name": "evil", "command": [sys.executable, "evil.py"], "files": ["evil.py"]}}
    sweep = lab.write_exec_sweep(runtimes=[runtime], trials=2, matrix={"way": ["fail", "work"]})

    shown = on_terminal(lab, "run", str(sweep))
    assert_harmless(shown, terminal=True)
    for arguments in commands():
        plain = lab.run(*arguments)
        assert plain.returncode in (0, 3), plain.stderr
        assert_harmless(plain.stdout + plain.stderr)
    assert_harmless(on_terminal(lab, "sql", FORGED), terminal=True)


def commands() -> Sequence[Sequence[str]]:
    said = "SELECT * FROM attempt"
    return [
        ["runs", "list"],
        ["runs", "show", "last"],
        ["compare", "last", "--by", "way", "--base", "work"],
        ["sql", said],
        ["sql", FORGED],
    ]


def test_json_says_the_same_with_escapes(lab: Lab) -> None:
    assert lab.run("db", "upgrade").returncode == 0
    done = lab.run("sql", FORGED, "--json")
    assert_harmless(done.stdout)
    assert json.loads(done.stdout) == [{"y": "x\x1b]0;pwned\x07\u202e"}]
