"""What ssh and its users write: configuration files, the answers of `ssh -G`, lists of host keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator.transport.known_hosts import HostName, find_printed, read_keys
from orchestrator.transport.ssh.algorithms import SUPPORTED
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.jumps import jumps_of
from orchestrator.transport.ssh.parser import Source
from orchestrator.transport.ssh.program import options_in
from orchestrator.transport.ssh.resolved import resolve
from orchestrator.transport.ssh.walk import Walk
from orchestrator.transport.ssh.wording import arguments, cut
from tests.contract.ssh.configurations import Maker
from tests.fuzz.base import Target, check_said
from tests.fuzz.files import KNOWN_HOSTS

HOSTS = ("board", "pi.lab", "fe80::1")
_EXEC = re.compile(rb"exec", re.IGNORECASE)
_HAZARDS = (
    b"Host " + b"*a" * 5000 + b"b\n  Port 1\n",
    b"Match host " + b"?*," * 20_000 + b"\n",
    b"Include " + b"/dev/zero " * 100 + b"\n",
    b"Include config config config\n",
    b'Match final host="' * 10_000,
    b"IdentityFile %d" * 20_000,
    b"ProxyJump " + b"a," * 50_000 + b"\n",
    b"User \\" * 50_000,
    b"ConnectTimeout " + b"9" * 10_000 + b"\n",
    b"Port " + b"9" * 10_000 + b"\n",
    b"IdentityFile /\0/k\n",
    b"\xff\xfe\0H\0o\0s\0t",
)
_ANSWERS = (
    b"host board\nuser pi\nhostname 10.0.0.7\nport 22\nidentityfile ~/.ssh/id_rsa\nproxyjump eve@[fe80::1]:22,b\n",
    (
        b"hostname x\nuserknownhostsfile /a b /c\nciphers aes256-ctr,3des-cbc\nidentityagent $SSH_AUTH_SOCK\n"
        b"knownhostscommand /bin/keys %H\nproxycommand nc %h %p\nconnecttimeout 5\ncertificatefile ${HOME}/c\n"
    ),
)


def targets(folder: Path) -> tuple[Target, ...]:
    """Return the targets; their files are written below `folder`."""
    corpus: list[bytes] = []
    for seed in range(12):
        made = folder / f"made-{seed}"
        made.mkdir()
        corpus.append(Maker(seed, made).write().read_bytes())
    keys = [text.encode() for text in KNOWN_HOSTS]
    return (
        Target("ssh-config", _config(folder / "config"), corpus, _HAZARDS),
        Target("ssh-answer", _answer, _ANSWERS, (b"port " + b"9" * 5000, b"hostname \xff\nport x\n", b"\n" * 100_000)),
        Target("known-hosts-command", _keys, keys, (b"a" * 1_000_000, b"@cert-authority\n" * 10_000)),
        Target("ssh-words", _words, corpus, (b'"' * 100_001, b"\\" * 100_000, b"=" * 100_000, b"' " * 50_000)),
    )


def _config(file: Path) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        file.write_bytes(_EXEC.sub(b"tagged", data))  # a mutated command is nothing to run
        for host in HOSTS:
            try:
                walk = Walk(Question(host), SUPPORTED, commands=False)
                answer = walk.answer([Source(file, of_user=True, guarded=False)])
                hash(walk.way.steps(answer))
                resolve(answer, {})
            except ValueError as error:
                check_said(str(error))

    return feed


def _answer(data: bytes) -> None:
    lines = options_in(data.decode("utf-8", "surrogateescape"))
    try:
        resolve(Answer(Question("board"), lines, by_ssh=True), {})
    except ValueError as error:
        check_said(str(error))


def _keys(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for known in find_printed(HostName("pi-03"), text, Path("/bin/keys")):
        f"{known.key} {known.key.bits} {known.place}".encode("utf-8", "backslashreplace")
    read_keys(text)


def _words(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        arguments(text)
    with suppress(ValueError):
        jumps_of(text)
    rest: str | None = text
    while rest:
        _, rest = cut(rest)
