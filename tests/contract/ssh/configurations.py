"""Make ssh configurations from the grammar of ssh_config(5), by a seed."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Thing = TypeVar("Thing")

HOSTS = ("board", "board-1", "gate", "pi.lab", "Other.LAB", "10.0.0.7", "x", "fe80::1")
USERS = (None, None, "eve", "pi")
PORTS = (None, None, 2222)
VARIABLE = "BENCHFLEET_TEST_PLACE"

HERD = (
    "board-1",
    "board-2",
    "board-3",
    "board-17",
    "gate",
    "pi.lab",
    "c",
    "d.lab",
    "10.0.0.7",
    "10.0.0.8",
    "127.1",
    "Pi",
)

_PATTERNS = ("*", "board*", "!board-1", "board", "?i.lab", "*.lab", "10.0.0.*", "gate", "pi.*", "!x", "other.lab", "??")
_LISTS = ("board", "board*,!board-1", "*.lab,gate", "!gate,*", "x,10.*", "other.lab", "*", "OTHER.lab", "10.0.0.7")
_COMMANDS = (
    "true", "false", "test %h = board", "test %n = %h", "test %p = 22", "test %r = eve", "test %% = %%", "exit 3",
    "test %L = %l", "test -n %u -a -n %i", "test %k = gate",
)  # fmt: skip
_ALONE = ("all", "final all", "canonical all", "final", "canonical", "ALL", "!final")
_COMMENTS = ("# a comment", "#", "  # Ann's board", '\t# "unfinished', "#Port 9")
_PATHS = (
    "~/.ssh/id_%h", "%d/keys/%r@%h:%p", "/keys/%u-%i", "/k/${BENCHFLEET_TEST_PLACE}/%n", "/k/100%%", "/k/%C", "/k/a b",
    "/k/plain", "~/k", "/k/%k-%L", "none", "/k/it's", "/k/#1",
)  # fmt: skip
_WORDS = {
    "HostName": ("10.0.0.9", "%h.example", "Some.Host", "127.1", "::1", "FE80::2", "a%%b", "%h", "[::1]"),
    "Port": ("22", "2200", "65535", "022"),
    "User": ("eve", "bob", "a b", "o'neill"),
    "HostKeyAlias": ("the-pi", "ALIAS", "a.b"),
    "IdentitiesOnly": ("yes", "no", "YES", "true", "false"),
    "IdentityAgent": (
        "none",
        "SSH_AUTH_SOCK",
        "/run/agent-%h",
        "~/agent.sock",
        "$BENCHFLEET_TEST_PLACE",
        "${BENCHFLEET_TEST_PLACE}",
    ),
    "IdentityFile": _PATHS,
    "CertificateFile": tuple(path for path in _PATHS if path != "none"),
    "PubkeyAuthentication": ("yes", "unbound", "host-bound", "true"),
    "PreferredAuthentications": ("publickey", "password,publickey"),
    "ProxyUseFdpass": ("yes", "no"),
    "RevokedHostKeys": ("none", "/etc/revoked-%h", "~/revoked"),
    "Ciphers": ("aes128-ctr,aes256-ctr", "+3des-cbc", "-aes128-*", "^aes256-ctr", "aes256-gcm@openssh.com"),
    "KexAlgorithms": ("curve25519-sha256", "+diffie-hellman-group14-sha1", "-ecdh-*", "ecdh-sha2-nistp256"),
    "MACs": ("hmac-sha2-256", "+hmac-md5", "-*etm@openssh.com"),
    "HostKeyAlgorithms": ("ssh-ed25519,rsa-sha2-512", "+ssh-rsa", "-ecdsa-*", "^ssh-ed25519"),
    "PubkeyAcceptedAlgorithms": ("ssh-ed25519", "+ssh-rsa", "rsa-sha2-256,ssh-ed25519"),
    "PubkeyAcceptedKeyTypes": ("ssh-ed25519",),
    "AddressFamily": ("any", "inet", "inet6", "INET"),
    "BindAddress": ("127.0.0.1", "*"),
    "BindInterface": ("lo", "eth0"),
    "Compression": ("yes", "no"),
    "ConnectTimeout": ("5", "1m30s", "none", "2h", "0"),
    "ServerAliveInterval": ("5", "0", "1m", "30s"),
    "CanonicalizeHostname": ("no", "false"),
    "ForwardAgent": ("yes", "no"),
    "StrictHostKeyChecking": ("no", "accept-new", "ask"),
    "LogLevel": ("ERROR", "QUIET"),
    "SendEnv": ("LANG", "LC_*"),
    "SetEnv": ("A=b",),
    "ServerAliveCountMax": ("3",),
    "ControlMaster": ("auto", "no"),
    "ControlPersist": ("10m", "yes"),
    "AddKeysToAgent": ("yes", "confirm", "ask"),
    "RequestTTY": ("no",),
    "UseRoaming": ("no",),
}
_FILES = {
    "UserKnownHostsFile": (
        ("none",), ("/k/a", "~/b"), ("/k/%h",), ("/k/a b",), ("/k/known hosts", "/k/c"), ("~/.ssh/%k",),
        ("relative", "two"), ("/k/${BENCHFLEET_TEST_PLACE}",),
    ),
    "GlobalKnownHostsFile": (("none",), ("/k/g",), ("/k/g", "/k/h")),
}  # fmt: skip
_LINES = {
    "ProxyCommand": ("none", "nc %h %p", "ssh -W [%h]:%p gate", 'sh -c "nc %n %p" # %r', "relay '%h' %k 100%%"),
    "ProxyJump": (
        "none", "gate", "eve@gate:2222", "a,b", "eve@[fe80::1]:22,ssh://bob@c:23", "10.0.0.1", "a # comment", "NONE",
    ),
    "KnownHostsCommand": ("none", "/usr/bin/keys %H %h", '/usr/bin/keys "a b" %t'),
}  # fmt: skip


class Maker:
    """Makes one configuration: a file, and the files that it includes."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._random = random.Random(seed)
        self._folder = folder
        self._included = 0

    def write(self) -> Path:
        """Write the files, and return the first."""
        file = self._folder / "config"
        end = self._pick(("\n", "\n", "\n", "\r\n", "\n\n"))
        file.write_bytes(end.join(self._statements(0, self._random.randint(3, 14))).encode())
        return file

    def write_for_herd(self) -> Path:
        """Write the files, with blocks that differ in values alone, and return the first."""
        file = self._folder / "config"
        lines = self._statements(0, self._random.randint(0, 8))
        for host in self._random.sample(HERD, self._random.randint(0, 8)):
            lines[(at := self._random.randint(0, len(lines))) : at] = self._block(host)
        file.write_text("\n".join(lines) + "\n")
        return file

    def herd(self, count: int) -> list[str]:
        """Return hosts of which some may go the same way."""
        return self._random.sample(HERD, count)

    def _block(self, host: str) -> list[str]:
        """Return a block of one device, as programs write them for every device of a lab."""
        number = self._random.randint(1, 250)
        names = (f"10.9.0.{number}", self._pick(HERD), f"n{number}.lab # shelf {number}")
        lines = (
            f"HostName {self._pick(names)}",
            f"Port {2000 + number}",
            f"User {self._pick(('eve', 'pi', f'u{number}'))}",
            f"IdentityFile {self._pick((f'~/.ssh/id_{number}', '/k/plain', '~/k'))}",
            f"HostKeyAlias key-{number}",
        )  # fmt: skip
        kept = sorted(self._random.sample(range(len(lines)), self._random.randint(1, len(lines))))
        opening = self._pick((f"Host {host}", f"Host {host} {host}.example", f"Match originalhost {host}"))
        return [opening, *(f"  {lines[number]}" for number in kept)]

    def questions(self) -> list[tuple[str, str | None, int | None]]:
        """Return hosts with users and ports to ask for."""
        hosts = self._random.sample(HOSTS, 2)
        return [(host, self._pick(USERS), self._pick(PORTS)) for host in hosts]

    def _pick(self, things: Sequence[Thing]) -> Thing:
        return self._random.choice(things)

    def _statements(self, depth: int, count: int) -> list[str]:
        makers: list[tuple[int, Callable[[], str]]] = [
            (18, self._word), (5, self._files), (4, self._line), (5, self._host), (5, self._match), (2, self._comment),
        ]  # fmt: skip
        if depth < 3:
            makers.append((2, lambda: self._include(depth)))
        weights, functions = [weight for weight, _ in makers], [function for _, function in makers]
        return [self._random.choices(functions, weights)[0]() for _ in range(count)]

    def _comment(self) -> str:
        return self._pick((*_COMMENTS, "", "   ", "\t", "  # Host board"))

    def _statement(self, keyword: str, value: str, *, comment: bool = True) -> str:
        cased = self._pick((keyword, keyword, keyword.lower(), keyword.upper()))
        between = self._pick((" ", " ", "\t", " = ", "=", "  ", "\t= ", "= "))
        after = self._pick(("", "", "", *(" " + text for text in _COMMENTS))) if comment else ""
        before, end = self._pick(("", "  ", "\t", "    ")), self._pick(("", "", " ", "\t", "\f"))
        return before + cased + between + value + after + end

    def _quoted(self, word: str) -> str:
        ways = [f'"{word}"']
        if "'" not in word:
            ways.append(f"'{word}'")
        if not set(word) & set(" '#"):
            ways += [word, word]
        if set(word) & set(" '") and "#" not in word:
            ways.append(word.replace(" ", "\\ ").replace("'", "\\'"))
        return self._pick(ways)

    def _word(self) -> str:
        keyword = self._pick(tuple(_WORDS))
        return self._statement(keyword, self._quoted(self._pick(_WORDS[keyword])))

    def _files(self) -> str:
        keyword = self._pick(tuple(_FILES))
        return self._statement(keyword, self._pick((" ", "\t")).join(map(self._quoted, self._pick(_FILES[keyword]))))

    def _line(self) -> str:
        keyword = self._pick(tuple(_LINES))
        return self._statement(keyword, self._pick(_LINES[keyword]), comment=False)

    def _host(self) -> str:
        patterns = self._random.sample(_PATTERNS, self._random.randint(1, 3))
        return self._statement("Host", " ".join(map(self._quoted, patterns)))

    def _match(self) -> str:
        if self._random.random() < 0.25:
            return self._statement("Match", self._pick(_ALONE))
        criteria = [self._criterion() for _ in range(self._random.randint(1, 3))]
        return self._statement("Match", self._pick((" ", "\t")).join(criteria))

    def _criterion(self) -> str:
        name = self._pick(("host", "originalhost", "user", "localuser", "exec", "Host", "final"))
        negated = self._pick(("", "", "!"))
        if name == "final":
            return negated + name
        between = self._pick((" ", "=", "\t", " = "))
        if name == "exec":
            return f'{negated}{name}{between}"{self._pick(_COMMANDS)}"'
        value = self._pick(("eve", "root,pi", "!eve,*", "nobody") if "user" in name else _LISTS)
        return negated + name + between + self._pick((value, f'"{value}"'))

    def _include(self, depth: int) -> str:
        self._included += 1
        name = f"part-{self._included}"
        for suffix in self._pick((("",), ("-a", "-b"))):
            text = "\n".join(self._statements(depth + 1, self._random.randint(1, 4))) + "\n"
            (self._folder / f"{name}{suffix}").write_text(text)
        path = str(self._folder / name) + self._pick(("*", "*", "-[ab]", ""))
        more = self._pick(("", "", f" {self._folder}/none-such*"))
        return self._statement("Include", self._quoted(path) + more)
