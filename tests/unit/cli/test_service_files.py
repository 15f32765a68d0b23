"""`daemon --print`: files that systemd and compose understand as they were meant."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.services.queue.service_files import Place, service_file
from tests.unit.cli.commands import LEAVES
from tests.unit.cli.conftest import Command

ODD = 'a b%n$HOME"c\\'


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("folder", ["lab", "my lab 100%"])
def test_systemd_takes_the_unit(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    ended = command("daemon", "--print", "systemd", "--db", "x y.db")
    assert ended.code == ExitCode.FINE, ended.err
    unit = tmp_path / "benchfleet.service"
    unit.write_text(ended.out)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    # Other units of the machine may be told, too.
    assert not [line for line in done.stderr.splitlines() if "benchfleet" in line], done.stderr
    assert "\nRestart=always\n" in ended.out
    assert f"\nWorkingDirectory={str(tmp_path / folder).replace('%', '%%')}\n" in ended.out
    assert re.search(r'\nExecStart=\S+/benchfleet daemon --db "x y.db"\n', ended.out)


def test_words_of_a_unit_mean_what_they_say() -> None:
    place = Place(Path("/srv/lab"), "lab", ["/bin/benchfleet"], [("--db", ODD)], {"BENCHFLEET_LOG_FILE": ODD})
    unit = service_file("systemd", place)
    assert '\nExecStart=/bin/benchfleet daemon --db "a b%%n$$HOME\\"c\\\\"\n' in unit
    assert '\nEnvironment="BENCHFLEET_LOG_FILE=a b%%n$HOME\\"c\\\\"\n' in unit


def test_the_compose_file_is_yaml_that_says_what_was_meant() -> None:
    flags = [("--db", "mine.db"), ("--inventory", ODD)]
    text = service_file(
        "compose", Place(Path("/srv/lab"), "lab", ["/bin/benchfleet"], flags, {"BENCHFLEET_LEASE_S": "9"})
    )
    services = yaml.safe_load(text)["services"]
    daemon = services["daemon"]
    assert daemon["command"] == ["benchfleet", "daemon", "--inventory", ODD.replace("$", "$$")]
    assert daemon["environment"] == {
        "BENCHFLEET_DB": "postgresql://lab@database/benchfleet",
        "BENCHFLEET_LEASE_S": "9",
    }
    assert services["database"]["environment"]["POSTGRES_USER"] == "lab"
    assert set(daemon["secrets"]) <= set(yaml.safe_load(text)["secrets"])


def test_the_entry_of_the_container_hands_the_password_and_every_word_on(tmp_path: Path) -> None:
    entry = yaml.safe_load(service_file("compose", Place(Path("/srv/lab"), "lab", ["b"])))["services"]["daemon"][
        "entrypoint"
    ]
    (tmp_path / "secret").write_text("pass word\n")
    # As compose does: $$ is $.
    words = [
        word.replace("$$", "$").replace("/run/secrets/database-password", str(tmp_path / "secret")) for word in entry
    ]
    done = subprocess.run(
        [*words, "sh", "-c", 'printf "%s|%s" "$PGPASSWORD" "$1"', "x", "a b"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "pass word|a b"


@pytest.mark.parametrize("named", ["systemd", "compose"])
def test_the_three_commands_are_commands(named: str) -> None:
    text = service_file(named, Place(Path("/srv/lab"), "lab", ["/bin/benchfleet"]))
    head = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
    assert len(head) == 3
    for line in head:
        assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0
    found = {words for line in head for words in re.findall(r"(?<![\w./=])benchfleet ((?:db|daemon)[ a-z]*)", line)}
    assert {words.strip().removesuffix(" systemd") for words in found} <= set(LEAVES)
    assert "db upgrade" in {words.strip() for words in found}


def test_a_password_and_an_unknown_file_are_refused(command: Command) -> None:
    ended = command("daemon", "--print", "systemd", "--db", "postgresql://lab:secret@db.example/lab")
    assert ended.code == ExitCode.USAGE
    assert "secret" not in ended.out + ended.err
    assert ended.err.endswith("hint: put the password into ~/.pgpass of the daemon's user\n")
    unknown = command("daemon", "--print", "upstart")
    assert unknown.err == "error: --print upstart: there is no such file\nhint: known: systemd, compose\n"
    with pytest.raises(ConfigError, match="line break"):
        service_file("systemd", Place(Path("/srv/a\nExecStart=/bin/evil"), "lab", ["b"]))


def test_the_container_of_a_daemon_with_sites_is_a_node_of_their_cluster(tmp_path: Path) -> None:
    place = Place(Path("/srv/lab"), "lab", ["b"], uses_ray=True, ray_address="10.0.0.2:6379")
    daemon = yaml.safe_load(service_file("compose", place))["services"]["daemon"]
    assert '"benchfleet[postgres,ray]==' in daemon["build"]["dockerfile_inline"]
    assert (daemon["network_mode"], daemon["shm_size"]) == ("host", "1gb")
    assert daemon["environment"] == {
        "BENCHFLEET_DB": "postgresql://lab@127.0.0.1/benchfleet",
        "RAY_ADDRESS_TO_JOIN": "10.0.0.2:6379",
    }
    assert "~/.ray:/root/.ray:ro" in daemon["volumes"]
    # The commands of the container, with a program in Ray's place that writes down its words.
    (tmp_path / "ray").write_text('#!/bin/sh\necho "$@" > "$0.words"\n')
    (tmp_path / "ray").chmod(0o755)
    (tmp_path / "secret").write_text("pass word\n")
    entry = [
        one.replace("$$", "$").replace("/run/secrets/database-password", str(tmp_path / "secret"))
        for one in daemon["entrypoint"]
    ]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RAY_ADDRESS_TO_JOIN": "10.0.0.2:6379"}
    done = subprocess.run(
        [*entry, "sh", "-c", 'echo "$PGPASSWORD $1"', "-", "a word"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "pass word a word\n"
    assert (tmp_path / "ray.words").read_text() == "start --address=10.0.0.2:6379 --disable-usage-stats\n"


@pytest.mark.parametrize(("flags", "extras"), [((), "postgres"), (("--executor", "ray"), "postgres,ray")])
def test_the_image_takes_ray_where_it_is_used(command: Command, flags: tuple[str, ...], extras: str) -> None:
    ended = command("daemon", "--print", "compose", *flags)
    assert f'"benchfleet[{extras}]==' in ended.out
    assert "network_mode" not in ended.out, "a Ray of the daemon's own joins nothing"
    joined = command("daemon", "--print", "compose", *flags, "--ray-address", "10.0.0.2:6379")
    assert '"benchfleet[postgres,ray]==' in joined.out
    assert "network_mode: host" in joined.out
