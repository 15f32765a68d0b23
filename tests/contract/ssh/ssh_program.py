"""Say what `ssh -G` makes of a configuration, and have ssh itself fill in what `ssh -G` prints as written."""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from orchestrator.transport.ssh.algorithms import usable

Asked = tuple[str, str | None, int | None]
_LATE_S = 30.0
_LISTS = ("ciphers", "kexalgorithms", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms")


class SshProgram:
    """The ssh of this machine, with one configuration file."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.usual = usual()

    def facts(self, asked: Asked) -> dict[str, object] | None:
        """Return what a connection needs to know, or None if ssh refuses the configuration."""
        printed = self._ask(asked)
        if printed is None:
            return None
        lines = {keyword: values for keyword, values in printed.items() if values != self.usual.get(keyword)}
        first = {keyword: values[0] for keyword, values in lines.items()}
        host, user, port = (printed[name][0] for name in ("hostname", "user", "port"))
        jumps = _jumps(first["proxyjump"]) if "proxyjump" in first else []
        return {
            "host": (host, user, int(port), first.get("hostkeyalias")),
            "files": self._filled(asked, lines.get("identityfile"), "ControlPath"),
            "certificates": self._filled(asked, lines.get("certificatefile"), "ControlPath") or [],
            "only": first.get("identitiesonly") == "yes",
            "agent": first.get("identityagent"),
            "known_hosts": " ".join(
                printed[name][0] for name in ("userknownhostsfile", "globalknownhostsfile") if printed[name] != ["none"]
            ),
            "proxy": None if jumps or "proxycommand" not in first
            else self._filled_one(asked, first["proxycommand"], "RemoteCommand"),
            "jumps": jumps,
            "passes_socket": printed["proxyusefdpass"] == ["yes"],
            "command": first.get("knownhostscommand"),
            "revoked": self._filled_one(asked, first.get("revokedhostkeys"), "ControlPath"),
            "family": printed["addressfamily"][0],
            "bind": (first.get("bindaddress"), first.get("bindinterface")),
            "compression": printed["compression"] == ["yes"],
            "times": (first.get("connecttimeout"), first.get("serveraliveinterval")),
            "lists": {name: usable(name, first[name].split(",")) for name in _LISTS if name in first},
        }  # fmt: skip

    def _ask(self, asked: Asked, *more: str) -> dict[str, list[str]] | None:
        host, user, port = asked
        arguments = ["-F", str(self._config), *more]
        arguments += [] if user is None else ["-l", user]
        arguments += [] if port is None else ["-p", str(port)]
        said = _run([*arguments, host])
        return None if said is None else _options(said)

    def _filled_one(self, asked: Asked, value: str | None, option: str) -> str | None:
        filled = self._filled(asked, None if value is None else [value], option)
        return filled[0] if filled else None

    def _filled(self, asked: Asked, values: Sequence[str] | None, option: str) -> list[str] | None:
        """Return values with tokens, variables and `~` as ssh fills them into an option that `ssh -G` prints filled."""
        if values is None:
            return None
        filled: list[str] = []
        for value in values:
            if value.lower() == "none":
                continue
            if not set(value) & set("%~$"):
                filled.append(value)
                continue
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            text = f'"{quoted}"' if option == "ControlPath" else value
            printed = self._ask(asked, "-o", f"{option}={text}")
            assert printed is not None, value
            filled += printed[option.lower()]
        return filled


@cache
def usual() -> dict[str, list[str]]:
    """Return the options of ssh without any configuration."""
    return _options(_run(["-F", "/dev/null", "localhost"]) or "")


def _run(arguments: Sequence[str]) -> str | None:
    command = ["ssh", "-G", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_LATE_S
    )
    return done.stdout if done.returncode == 0 else None


def _options(text: str) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        options.setdefault(keyword.lower(), []).append(value)
    return options


def _jumps(printed: str) -> list[tuple[str | None, str, int | None]]:
    """Return user, host and port of each jump host of a ProxyJump."""
    jumps: list[tuple[str | None, str, int | None]] = []
    for written in printed.split(","):
        user, _, rest = written.removeprefix("ssh://").rpartition("@")
        host, _, port = rest.rpartition(":") if rest.count(":") == 1 or "]:" in rest else (rest, "", "")
        jumps.append((user or None, host.strip("[]"), int(port) if port else None))
    return jumps
