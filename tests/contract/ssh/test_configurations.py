"""Configurations made from the grammar of ssh_config(5): what we would do is what ssh would do."""

import os
import pwd
import re
import shlex
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh.answers import Question
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.parser import Source
from orchestrator.transport.ssh.resolved import Resolved, resolve
from orchestrator.transport.ssh.route import Routes
from orchestrator.transport.ssh.walk import Walk
from tests.contract.ssh.configurations import VARIABLE, Maker
from tests.contract.ssh.ssh_program import Asked, SshProgram
from tests.servers.processes import wait_until

SEED = 20261130
FEW, MANY = 50, 2000
PLACE = re.compile(r"^/\S+:\d+: ")

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh: run scripts/install-system-packages")


@dataclass(slots=True)
class Score:
    """How the comparison went. `said` counts what the parser has said it does not understand."""

    asked: int = 0
    refused: int = 0
    said: int = 0
    by_ssh: int = 0
    by_parser: int = 0


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The home that ssh knows. No file in the home is read: every configuration is given by its path."""
    monkeypatch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
    monkeypatch.setenv(VARIABLE, "shelf")


@pytest.mark.long
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=[pytest.mark.system, pytest.mark.timeout(1500)])])
def test_generated_configurations_mean_the_same_to_us_as_to_ssh(count: int, tmp_path: Path) -> None:
    score, differences = Score(), Counter[str]()
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        maker = Maker(SEED + number, folder)
        config = maker.write()
        for asked in maker.questions():
            compare(config, asked, score, differences)
    print(f"configurations {count} differences {sum(differences.values())} {score}")  # noqa: T201
    assert not differences, differences.most_common(10)
    assert score.refused < 0.2 * score.asked, score
    assert score.said < 0.02 * score.asked, score


def test_ssh_is_asked_once_for_each_host_and_the_jump_host_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh, log = shutil.which("ssh"), tmp_path / "log"
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> {log}\nexec {ssh} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    config = tmp_path / "config"
    config.write_text("Host pi-*\n  ProxyJump gate\n")
    routes = Routes(SshConfig(config), tmp_path / "known_hosts")
    devices = [Device(f"pi-{number}", TransportKind.SSH) for number in range(40)]

    with ThreadPoolExecutor(40) as pool:
        hops = list(pool.map(routes.to, devices))
    config.write_text("Host pi-*\n  ProxyJump other-gate\n")
    (gate, _) = routes.to(devices[0])

    assert {route[0].host for route in hops} == {"gate"}
    assert gate.host == "other-gate"
    asked = Counter(log.read_text().split())
    assert asked == Counter([*(device.name for device in devices), "gate", "localhost", "pi-0", "other-gate"])


def test_ssh_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.transport.ssh.program.LATE_S", 0.5)
    config = tmp_path / "config"
    config.write_text('Match exec "exec sleep 3600"\n')
    with pytest.raises(Unreachable, match=r"not read within 0\.5 s"):
        SshConfig(config).lookup(Question("pi"))


def test_a_command_of_match_exec_that_never_ends_is_given_up_without_ssh_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.transport.ssh.walk.LATE_S", 0.3)
    monkeypatch.setenv("PATH", str(tmp_path))
    config, left = tmp_path / "config", tmp_path / "left"
    config.write_text(f"Match exec \"/bin/sh -c '/bin/sleep 3600 & echo $! > {left}; wait'\"\n")
    with pytest.raises(Unreachable, match=r"Match exec has not ended within 0\.3 s") as raised:
        SshConfig(config).lookup(Question("pi"))
    assert "Match exec" in str(raised.value.hint)
    sleeper = Path(f"/proc/{left.read_text().strip()}/stat")
    wait_until(lambda: not sleeper.exists() or sleeper.read_text().split()[2] in "ZX", "what it began has ended")


def compare(config: Path, asked: Asked, score: Score, differences: "Counter[str]") -> None:
    """Compare both of our readers with ssh, for one host."""
    program = SshProgram(config)
    facts = program.facts(asked)
    usual = {name: values[0].split(",") for name, values in program.usual.items()}
    score.asked += 1
    ours: Resolved | str
    parsed: Resolved | str
    try:
        ours = SshConfig(config).lookup(Question(*asked))
    except Unreachable as error:
        ours = str(error)
    try:
        walk = Walk(Question(*asked), usual)
        parsed = resolve(walk.answer([Source(config, of_user=True, guarded=False)]), {})
    except ValueError as error:
        parsed = str(error)
        score.said += facts is not None
    if facts is None:
        score.refused += 1
        return
    score.by_ssh += not isinstance(ours, str)
    score.by_parser += not isinstance(parsed, str)
    differences.update(f"ssh {config} {asked}: {text}" for text in unequal(facts, ours))
    if isinstance(parsed, str) and PLACE.match(parsed):
        return
    differences.update(f"parser {config} {asked}: {text}" for text in unequal(facts, parsed))


def unequal(facts: dict[str, object], ours: Resolved | str) -> list[str]:
    """Return the facts that are not ours. A text says why there are none of ours."""
    if isinstance(ours, str):
        return [ours]
    mine = of_ours(facts, ours)
    return [f"{name} is {facts[name]!r} to ssh and {mine[name]!r} to us" for name in facts if facts[name] != mine[name]]


def of_ours(facts: dict[str, object], ours: Resolved) -> dict[str, object]:
    keys, manner = ours.keys, ours.manner
    printed = str(facts["command"]) if facts["command"] is not None else None
    command = None if ours.hosts_command is None else list(ours.hosts_command.words)
    return {
        "host": (ours.host, ours.user, ours.port, ours.alias),
        "files": None if keys.files is None else list(map(str, keys.files)),
        "certificates": list(map(str, keys.certificates)),
        "only": keys.only,
        "agent": agent(facts["agent"], ours),
        "known_hosts": " ".join(map(str, ours.known_hosts)),
        "proxy": ours.proxy_command,
        "jumps": [(jump.user, jump.host, jump.port) for jump in ours.jumps],
        "passes_socket": manner.passes_socket or (facts["passes_socket"] and bool(ours.jumps)),
        "command": printed if printed is not None and command == shlex.split(printed) else command,
        "revoked": None if ours.revoked_keys is None else str(ours.revoked_keys),
        "family": manner.address_family,
        "bind": (manner.bind_address, manner.bind_interface),
        "compression": manner.compression,
        "times": (seconds(manner.connect_timeout_s), seconds(manner.silence_s)),
        "lists": dict(manner.algorithms),
    }


def agent(printed: object, ours: Resolved) -> object:
    """Return ssh's own words for the agent if they mean ours, otherwise ours."""
    keys = ours.keys
    if not keys.agent:
        return "none"
    if keys.socket is None:
        return printed if printed in {None, "SSH_AUTH_SOCK"} else None
    named = str(printed)
    means = os.environ.get(named[1:]) if named.startswith("$") else named
    return printed if keys.socket == means else keys.socket


def seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}"
