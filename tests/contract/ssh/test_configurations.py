"""Configurations made from the grammar of ssh_config(5): what we would do is what ssh would do."""

import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh import program
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.parser import Source
from orchestrator.transport.ssh.resolved import Resolved, resolve
from orchestrator.transport.ssh.route import Routes
from orchestrator.transport.ssh.walk import Walk
from orchestrator.transport.ssh.ways import Way
from tests.contract.ssh.configurations import VARIABLE, Maker
from tests.contract.ssh.ssh_program import Asked, SshProgram
from tests.servers.processes import wait_until

SEED = 20261130
FEW, MANY = 50, 2000
BLOCK = "Host board-{0}\n  HostName 10.0.0.{0} # {0}\n  Port {1}\n"
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


@pytest.fixture
def starts_of_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], "Counter[str]"]:
    """Return what counts the starts of ssh by host."""
    ssh, log = shutil.which("ssh"), tmp_path / "log"
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> {log}\nexec {ssh} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    return lambda: Counter(log.read_text().split())


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


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "many"),
    [(FEW // 2, 6), pytest.param(MANY // 5, 4, marks=[pytest.mark.system, pytest.mark.timeout(1500)])],
)
def test_hosts_of_one_way_are_what_ssh_says_of_each(
    count: int, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[Question] = set()
    ask = program.ask

    def counted(ssh: str, config: Path | None, question: Question) -> Answer:
        asked.add(question)
        return ask(ssh, config, question)

    monkeypatch.setattr(program, "ask", counted)
    spared, differences = 0, Counter[str]()
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        maker = Maker(SEED - number, folder)
        config, hosts, (_, user, port) = maker.write_for_herd(), maker.herd(many), maker.questions()[0]
        asked.clear()
        found = {host: outcome(config, Question(host, user, port)) for host in hosts}
        untold = [host for host in hosts if Question(host, user, port) not in asked]
        spared += len(untold)
        with monkeypatch.context() as patch:
            patch.setattr(Way, "steps", lambda *_: None)  # every host alone
            for host in untold:
                alone = outcome(config, Question(host, user, port))
                differences.update([f"{config} {host}"] if found[host] != alone else [])
    print(f"configurations {count} hosts {count * many} spared {spared} differences {differences.total()}")  # noqa: T201
    assert not differences, differences.most_common(10)
    assert spared > 0.1 * count * many, "nearly every host is asked for alone: the comparison says little"


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        pytest.param("Host 127.* board-*\n  User pi\n", 1, id="patterns"),
        pytest.param("Match final all\n  Compression yes\nMatch host board-*\n  Port 2222\n", 1, id="Match final"),
        pytest.param("".join(map(BLOCK.format, range(200), range(1, 201))), 1, id="blocks"),
        pytest.param("Match tagged lab\n  Port 1\nFrobnicate yes\nHost *\n  Port 2222\n", 1, id="refused"),
        pytest.param('Match originalhost board-7 exec "true"\n  Port 7\n', 2, id="command for one"),
        pytest.param('Match exec "true"\n  Port 7\n', 200, id="command for all"),
    ],
)
def test_ssh_is_started_once_for_the_hosts_of_one_way(
    text: str, starts: int, tmp_path: Path, starts_of_ssh: Callable[[], "Counter[str]"]
) -> None:
    config = tmp_path / "config"
    config.write_text(text)
    found = look_up_all(SshConfig(config), [Question(f"board-{number}") for number in range(200)])
    assert [name.question.host for name in found] == [f"board-{number}" for number in range(200)]
    assert starts_of_ssh().total() - 1 == starts


def test_a_change_of_an_included_file_is_seen_at_once(tmp_path: Path, starts_of_ssh: object) -> None:
    config, part = tmp_path / "config", tmp_path / "part"
    config.write_text(f"Include {part}\n")
    part.write_text("Port 2201\n")
    before = SshConfig(config).lookup(Question("board-1"))
    part.write_text("Port 22022\n")
    assert (before.port, SshConfig(config).lookup(Question("board-2")).port) == (2201, 22022)


def test_a_host_that_is_its_own_jump_host_is_asked_for_alone(
    tmp_path: Path, starts_of_ssh: Callable[[], "Counter[str]"]
) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  ProxyJump board-2\n")
    jumps = [SshConfig(config).lookup(Question(name)).jumps for name in ("board-1", "board-2", "board-3")]
    assert list(map(len, jumps)) == [1, 0, 1]
    # ssh refuses the loop, and is asked once more without the jump host.
    assert starts_of_ssh() == Counter({"localhost": 1, "board-1": 1, "board-2": 2})


def test_a_jump_host_is_asked_for_once(tmp_path: Path, starts_of_ssh: Callable[[], "Counter[str]"]) -> None:
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
    asked = starts_of_ssh()
    pis = sum(count for host, count in asked.items() if host.startswith("pi-"))
    assert (pis, asked.total()) == (2, 5), asked


def test_a_proxy_jump_may_have_tokens_and_ssh_fills_them_in_the_same(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host gate-*\n  HostName 127.0.0.1\n  Port 9\nHost board-*\n  User pi\n  ProxyJump eve-%r@gate-%n\n"
    )
    found = SshConfig(config).lookup(Question("board-1"))
    assert list(map(str, found.jumps)) == ["eve-pi@gate-board-1"]
    command = ["ssh", "-v", "-F", str(config), "-o", "BatchMode=yes", "board-1", "true"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stderr
    assert "-l eve-pi " in said
    assert " gate-board-1" in said


def test_what_ssh_says_of_a_line_is_told_beside_what_we_say(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host: board\n")
    with pytest.raises(Unreachable, match=r"; ssh says: \S+: line 1: Bad configuration option: host:"):
        SshConfig(config).lookup(Question("board"))


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
    ssh = SshProgram(config)
    facts = ssh.facts(asked)
    usual = {name: values[0].split(",") for name, values in ssh.usual.items()}
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


def outcome(config: Path, question: Question) -> Resolved | None:
    """Return what we make of a host, or None if the host is refused."""
    try:
        return SshConfig(config).lookup(question)
    except Unreachable:
        return None


def look_up_all(config: SshConfig, questions: Sequence[Question]) -> list[Resolved]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(config.lookup, questions))


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
