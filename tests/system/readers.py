"""Read pages as people do: their commands, and labs in which the commands are followed."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from orchestrator.domain.device import USUAL_LIMITS
from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.servers.sshd import SshServer


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")


def commands(name: str) -> list[list[str]]:
    """Return the words of every command of a page."""
    return commands_in(page(name))


def commands_in(text: str) -> list[list[str]]:
    """Return the words of every command: lines of four blanks outside of blocks."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (\S.*)$", outside, re.MULTILINE)]


def own_commands(name: str) -> list[list[str]]:
    """Return the words of every command of benchfleet of a page, and of each `cd` between them."""
    outside = re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    return [
        shlex.split(line, comments=True) for line in re.findall(r"^    ((?:benchfleet|cd) .*)$", outside, re.MULTILINE)
    ]


def parsed(text: str) -> Any:
    """Return a page's YAML. `on` and `off` are words here, as an inventory has them."""
    return yaml.safe_load(re.sub(r"\b(on|off):", r'"\1":', text))


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def page_of(server: subprocess.Popen[str], path: str) -> str:
    """Return a page of `benchfleet serve`, whose standard error is a pipe, and end the server."""
    assert server.stderr is not None
    try:
        said = server.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert address, said
        with urlopen(f"{address[0]}{path}", timeout=60) as answer:
            return str(answer.read().decode())
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


class Reader:
    """Follows a page. `init` and `cd` lead into the lab, where `prepare` puts in place what the page cannot have."""

    def __init__(self, folder: Path) -> None:
        self._outer = Lab(folder)
        self.lab = Lab(folder / "lab")

    def follow(self, name: str) -> int:
        """Execute the commands of a page, and return their number."""
        asked = own_commands(name)
        for words in asked:
            if words[0] == "cd":
                assert (self.lab.directory / "sweeps").is_dir()
                self.prepare()
                continue
            where = self._outer if words[1] == "init" else self.lab
            done = where.run(*self.changed(words[1:]), timeout_s=600)
            assert done.returncode == ExitCode.FINE, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr
        return len(asked)

    def changed(self, words: list[str]) -> list[str]:
        """Return the words of a command, with the yes of a person."""
        return [*words, "--yes"] if words[:2] == ["devices", "enroll"] else words

    def prepare(self) -> None:
        """Make the sweep short: the pages are about commands, and no figure of theirs is looked at."""
        sweep = self.lab.directory / "sweeps" / "quickstart.yaml"
        text = sweep.read_text()
        short = {
            "variants": "[fp32, int8]",
            "runtimes": "[ai-edge-litert==2.3.0]",
            "trials": "1",
            "measure": "{warmup: {runs_min: 1, seconds_min: 0}, runs_min: 10, seconds_min: 0.02}",
        }
        for key, value in short.items():
            text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        sweep.write_text(text)
        self.lab.allow_other_load("inventory/local.yaml")
        local = self.lab.directory / "inventory" / "local.yaml"
        local.write_text(local.read_text().replace("{transport: local,", "{transport: local, exclusive: false,"))


class BoardReader(Reader):
    """Follows a page with boards, each of which is a real sshd."""

    def __init__(self, folder: Path, server: SshServer) -> None:
        super().__init__(folder)
        self._server = server

    def declare(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        """Return the devices of a page at addresses that are there. All else stays as the page has it."""
        server = self._server
        found = {}
        for name, device in declared.items():
            if device.get("transport") == "local":
                continue
            reach = {"host": server.host, "port": server.port, "user": server.user}
            kept = {key: value for key, value in device.items() if key not in ("host", "user")}
            own = {"identity_file": str(server.identity_file), "python": sys.executable}
            played = {"state_dir": str(self.lab.state_dir(name)), "exclusive": False}
            limits = {"limits": {**dict.fromkeys(USUAL_LIMITS), **device.get("limits", {})}}
            found[name] = {**kept, **reach, **own, **({} if device.get("disabled") else played | limits)}
        return found

    def write(self, file: str, document: Mapping[str, Any]) -> None:
        """Write an inventory file of a page."""
        self.lab.write(f"inventory/{file}", json.dumps(document))
