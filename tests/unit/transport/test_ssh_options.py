"""The table of options holds: what is honoured makes a difference, and what is not makes none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.transport.ssh.algorithms import SUPPORTED
from orchestrator.transport.ssh.answers import Question
from orchestrator.transport.ssh.options import BY_KEYWORD, HONOURED, NOT_HONOURED, Reads, table
from orchestrator.transport.ssh.parser import NotUnderstood, Source
from orchestrator.transport.ssh.resolved import CannotHonour, Resolved, resolve
from orchestrator.transport.ssh.walk import Walk

REPOSITORY = Path(__file__).parents[3]

SAMPLES = {
    "HostName": "10.0.0.7",
    "Port": "2222",
    "User": "somebody-else",
    "IdentityFile": "/k/id",
    "CertificateFile": "/k/id-cert.pub",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "/run/agent",
    "PKCS11Provider": "/usr/lib/token.so",
    "PubkeyAuthentication": "no",
    "PreferredAuthentications": "password",
    "ProxyJump": "gate",
    "ProxyCommand": "nc %h %p",
    "ProxyUseFdpass": "yes",
    "HostKeyAlias": "the-pi",
    "UserKnownHostsFile": "/k/known",
    "GlobalKnownHostsFile": "/k/known",
    "KnownHostsCommand": "/bin/keys %H",
    "RevokedHostKeys": "/k/revoked",
    "Ciphers": "aes256-ctr",
    "KexAlgorithms": "curve25519-sha256",
    "MACs": "hmac-sha2-256",
    "HostKeyAlgorithms": "ssh-ed25519",
    "PubkeyAcceptedAlgorithms": "ssh-ed25519",
    "AddressFamily": "inet6",
    "BindAddress": "127.0.0.1",
    "BindInterface": "lo",
    "Compression": "yes",
    "ConnectTimeout": "90",
    "ServerAliveInterval": "5",
    "CanonicalizeHostname": "yes",
    "CanonicalizePermittedCNAMEs": "*.a:*.b",
}
"""A value of each option that makes a difference by itself."""

BESIDE_OTHERS = {"CanonicalDomains", "CanonicalizeMaxDots", "CanonicalizeFallbackLocal", "IgnoreUnknown", "Tag"}
"""What makes a difference only to other lines."""


def read(text: str, folder: Path) -> Resolved | str:
    file = folder / "config"
    file.write_text(text)
    try:
        return resolve(Walk(Question("pi"), SUPPORTED).answer([Source(file, of_user=True, guarded=False)]), {})
    except (NotUnderstood, CannotHonour) as error:
        return str(error)


def test_the_page_has_the_table() -> None:
    assert table() in (REPOSITORY / "docs" / "ssh.md").read_text(encoding="utf-8")


def test_every_honoured_option_has_a_sample() -> None:
    assert set(SAMPLES) | BESIDE_OTHERS == {option.name for option in HONOURED}


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_honoured_makes_a_difference(name: str, tmp_path: Path) -> None:
    assert read(f"{name} {SAMPLES[name]}\n", tmp_path) != read("", tmp_path)


def test_what_is_not_honoured_makes_none(tmp_path: Path) -> None:
    lines = "".join(f"{option.name} yes\n" for option in NOT_HONOURED)
    assert read(lines, tmp_path) == read("", tmp_path)


def test_other_lines_are_about_what_they_say(tmp_path: Path) -> None:
    assert "tagged" not in str(read("Tag lab\nMatch tagged lab\n  User tag-user\n", tmp_path))
    assert read("Tag lab\nMatch tagged lab\n  Port 7\n", tmp_path) == read("Port 7\n", tmp_path)
    assert read("IgnoreUnknown Foo*\nFooBar x\n", tmp_path) == read("", tmp_path)
    assert str(read("FooBar x\n", tmp_path)).startswith(f"{tmp_path}/config:1: foobar is no option")


def test_no_time_leaves_the_next_line_its_say(tmp_path: Path) -> None:
    assert read("ConnectTimeout none\nConnectTimeout 0\n", tmp_path) == read("ConnectTimeout 0\n", tmp_path)


def test_no_option_is_twice_in_the_table() -> None:
    names = [option.keyword for option in (*HONOURED, *NOT_HONOURED)]
    assert len(names) == len(set(names))
    assert all(option.reads is Reads.NOT for option in NOT_HONOURED)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh: run scripts/install-system-packages")
def test_every_option_of_ssh_is_in_the_table() -> None:
    printed = subprocess.run(["ssh", "-G", "-F", "/dev/null", "pi"], capture_output=True, text=True, check=True).stdout
    assert {line.split(" ")[0].lower() for line in printed.splitlines()} - set(BY_KEYWORD) == {"host"}
