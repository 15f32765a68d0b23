"""Run a KnownHostsCommand, whose output counts as a file of host keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.domain.errors import Unreachable
from orchestrator.transport.known_hosts import HostKey, HostName, KnownKey, find_printed
from orchestrator.transport.ssh.resolved import HostsCommand
from orchestrator.transport.ssh.tokens import fill_all

_LATE_S = 30.0


def find_by_command(command: HostsCommand, host: HostName, shown: HostKey | None) -> tuple[KnownKey, ...]:
    """Return the keys for a host that a command prints. Raise Unreachable if the command fails: ssh gives up too."""
    tokens = {
        **command.tokens,
        "H": str(host),
        "I": "ORDER" if shown is None else "HOSTNAME",
        "t": "NONE" if shown is None else shown.algorithm,
        "f": "NONE" if shown is None else shown.fingerprint,
        "K": "NONE" if shown is None else shown.base64,
    }
    try:
        program, *rest = command.words
        argv = [program, *(fill_all(word, tokens) for word in rest)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LATE_S, check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unreachable(f"KnownHostsCommand failed: {error}", hint="try the command by itself") from error
    return find_printed(host, done.stdout.decode("utf-8", "replace"), Path(program))
